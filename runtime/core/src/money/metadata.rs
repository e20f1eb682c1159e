//! What the ledger itself reads in the metadata of an entry. Every other member belongs to the
//! module.

use serde_json::Value;

use super::EXTERNAL_ID_BYTES;
use super::entry::InvalidEntry;
use crate::ids::Timestamp;

/// The members of the metadata with a meaning of their own, if the metadata is an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryLinks {
    /// `of`: the external id of the entry that this one answers, such as the sale of a refund.
    pub of: Option<String>,
    /// `conversion`: the id that the two sides of a conversion share.
    pub conversion: Option<String>,
    /// `expires_at`: when a reservation expires, in milliseconds.
    pub expires_at: Option<Timestamp>,
}

impl EntryLinks {
    /// Reads the members of an entry.
    ///
    /// # Errors
    /// The first member that is not valid.
    pub fn read(metadata: &Value) -> Result<Self, InvalidEntry> {
        Ok(Self {
            of: id(metadata, "of", "metadata/of")?,
            conversion: id(metadata, "conversion", "metadata/conversion")?,
            expires_at: time(metadata, "expires_at", "metadata/expires_at")?,
        })
    }

    /// Reads the `of` of an entry that an earlier release accepted. What is not valid counts as
    /// none.
    #[must_use]
    pub fn stored_of(metadata: &str) -> Option<String> {
        let value: Value = serde_json::from_str(metadata).ok()?;
        id(&value, "of", "metadata/of").ok()?
    }
}

fn id(metadata: &Value, name: &str, field: &'static str) -> Result<Option<String>, InvalidEntry> {
    match metadata.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_external_id(text) => Ok(Some(text.clone())),
        Some(_) => Err(InvalidEntry::Field { field, rule: "is a text of 1 to 256 bytes without control characters" }),
    }
}

fn time(metadata: &Value, name: &str, field: &'static str) -> Result<Option<Timestamp>, InvalidEntry> {
    match metadata.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().map(Timestamp::from_millis) {
            Some(at) if at <= Timestamp::MAX => Ok(Some(at)),
            _ => Err(InvalidEntry::Field { field, rule: "is a time in milliseconds before the year 10000" }),
        },
    }
}

/// Whether a text has the form of an external id: 1 to [`EXTERNAL_ID_BYTES`], without control
/// characters.
#[must_use]
pub fn is_external_id(text: &str) -> bool {
    (1..=EXTERNAL_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_of_an_object_are_read_and_others_are_ignored() {
        let read = |value| EntryLinks::read(&value).unwrap();
        let links = read(json!({ "of": "ch_1", "conversion": "fx_1", "expires_at": 5, "else": [1] }));
        assert_eq!((links.of.as_deref(), links.conversion.as_deref()), (Some("ch_1"), Some("fx_1")));
        assert_eq!(links.expires_at, Some(Timestamp::from_millis(5)));
        for none in [json!({}), json!({ "of": null }), json!("of"), json!(["of"]), json!(7), json!(null)] {
            assert_eq!(read(none), EntryLinks::default());
        }
    }

    #[test]
    fn a_member_of_another_form_is_refused_by_name() {
        let long = "x".repeat(257);
        for (name, value) in [
            ("of", json!(7)),
            ("of", json!("")),
            ("of", json!(long)),
            ("of", json!("a\nb")),
            ("of", json!(["ch_1"])),
            ("of", json!({ "id": "ch_1" })),
            ("conversion", json!(true)),
            ("expires_at", json!("2026-10-01")),
            ("expires_at", json!(-1)),
            ("expires_at", json!(1.5)),
            ("expires_at", json!(u64::MAX)),
        ] {
            let refused = EntryLinks::read(&json!({ name: value })).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("`metadata/{name}` is a ")), "{refused}");
            assert_eq!(EntryLinks::stored_of(&json!({ name: value }).to_string()), None);
        }
        assert_eq!(EntryLinks::stored_of(r#"{"of":"ch_1"}"#).as_deref(), Some("ch_1"));
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = EntryLinks::stored_of(&text);
            let _ = EntryLinks::read(&json!({ "of": text, "expires_at": text }));
        }
    }
}
