//! JSON texts that a host stores, inside of an answer.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A stored JSON text, written into an answer.
///
/// Older versions may have stored texts that clients cannot parse. Such a text is written as a
/// string, so that the answer, and every list that contains it, stays readable.
#[derive(Debug, Clone)]
pub enum StoredJson<'a> {
    /// Written unchanged.
    Raw(&'a RawValue),
    /// Written as a string.
    Text(Cow<'a, str>),
    /// What a client has read.
    Value(Value),
}

impl<'a> StoredJson<'a> {
    /// Wraps the stored text of a JSON value.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        Self::readable(text).unwrap_or_else(|| Self::Text(String::from_utf8_lossy(text)))
    }

    /// Wraps the text if it is one JSON value that every client can parse.
    #[must_use]
    pub fn readable(text: &'a [u8]) -> Option<Self> {
        tidemill_core::wire::json::check(text, usize::MAX).ok()?;
        serde_json::from_slice(text).ok().map(Self::Raw)
    }

    /// Returns the value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Raw(text) => serde_json::from_str(text.get()).unwrap_or_default(),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Value(value) => value.clone(),
        }
    }
}

impl Serialize for StoredJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(value) => value.serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::Value(value) => value.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for StoredJson<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unparsable_stored_text_is_a_string_in_the_answer() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for bad in [deep.as_str(), r#""\ud83d""#, "1e400", "{"] {
            let answer = serde_json::to_string(&[StoredJson::of(bad.as_bytes())]).unwrap();
            assert_eq!(serde_json::from_str::<Vec<String>>(&answer).unwrap(), [bad]);
        }
        assert_eq!(serde_json::to_string(&StoredJson::of(br#"{"a": [1.50]}"#)).unwrap(), r#"{"a": [1.50]}"#);
    }
}
