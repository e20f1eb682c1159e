//! Shapes that several nouns share: times, pauses, pages of lists, and pairs of names and values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemill_core::Timestamp;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

/// An instant, written as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let time = Timestamp::parse_rfc3339(&text).map(Self);
        time.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time")))
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples([serde_json::json!("2026-01-31T12:00:00.000Z")])
            .into()
    }
}

#[cfg(feature = "schema")]
impl ToSchema for Time {}

/// A pause: when it began, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Paused))]
pub struct Pause {
    /// When the pause began.
    pub since: Time,
    /// The note of the operator who paused it.
    pub note: String,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Pairs of names and values.
pub type Pairs<'a> = Cow<'a, [(String, String)]>;

/// Pairs of names and values are an object in JSON. For `#[serde(with = …)]`.
pub mod pairs {
    use super::{BTreeMap, Cow, Deserialize, Deserializer, Pairs, Serializer};

    /// Writes pairs as an object.
    ///
    /// # Errors
    /// An error of the serializer.
    pub fn serialize<S: Serializer>(pairs: &Pairs<'_>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
    }

    /// Reads an object as pairs, sorted by name.
    ///
    /// # Errors
    /// If the value is not an object of strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Pairs<'static>, D::Error> {
        Ok(Cow::Owned(BTreeMap::deserialize(from)?.into_iter().collect()))
    }
}
