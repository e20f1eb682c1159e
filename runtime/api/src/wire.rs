//! Small wire types that several nouns share.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tidemill_core::{Code, Timestamp};
use tidemill_store::records::Pause;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Name of the header that marks a repeated key: the request changed nothing.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Builds an answer in JSON.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = (status, text).into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(why) => Problem::new(Code::Internal, "the answer could not be written").log(why).into_response(),
    }
}

/// Builds an answer in JSON about a resource that is now at the path `location`.
pub fn json_at<T: Serialize + ?Sized>(location: &str, status: StatusCode, value: &T) -> Response {
    let mut response = json(status, value);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Builds an answer in JSON to a request with an idempotency key: 202, or 200 with the header
/// [`REPLAYED`] if the same request came before.
pub fn json_once<T: Serialize + ?Sized>(duplicate: bool, value: &T) -> Response {
    let mut response = json(if duplicate { StatusCode::OK } else { StatusCode::ACCEPTED }, value);
    if duplicate {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Builds an answer in JSON with status 200.
pub fn ok<T: Serialize + ?Sized>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// An instant, written as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeJson(pub Timestamp);

impl From<Timestamp> for TimeJson {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for TimeJson {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.to_rfc3339())
    }
}

impl utoipa::PartialSchema for TimeJson {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples([serde_json::json!("2026-01-31T12:00:00.000Z")])
            .into()
    }
}

impl ToSchema for TimeJson {
    fn name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
}

/// A pause: when it began, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Paused)]
pub struct PauseJson {
    /// When the pause began.
    pub since: TimeJson,
    /// The note of the operator who paused it.
    pub note: String,
}

impl From<&Pause> for PauseJson {
    fn from(pause: &Pause) -> Self {
        Self { since: pause.since.into(), note: pause.note.clone() }
    }
}

/// A stored JSON text, written into an answer.
///
/// Older versions may have stored texts that clients cannot parse. Such a text is written as a
/// string, so that the answer, and every list that contains it, stays readable.
#[derive(Debug, Clone)]
pub enum StoredJson<'a> {
    /// Written unchanged.
    Value(&'a RawValue),
    /// Written as a string.
    Text(Cow<'a, str>),
}

impl Serialize for StoredJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::Text(text) => to.serialize_str(text),
        }
    }
}

/// Wraps the stored text of a JSON value.
#[must_use]
pub fn stored_json(text: &[u8]) -> StoredJson<'_> {
    readable(text).map_or_else(|| StoredJson::Text(String::from_utf8_lossy(text)), StoredJson::Value)
}

/// Returns the text unchanged if it is one JSON value that every client can parse.
#[must_use]
pub fn readable(text: &[u8]) -> Option<&RawValue> {
    tidemill_core::wire::json::check(text, usize::MAX).ok()?;
    serde_json::from_slice(text).ok()
}

/// Names and values, serialized as a JSON object.
pub fn as_object<S: Serializer>(pairs: &&[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unparsable_stored_text_is_a_string_in_the_answer() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for bad in [deep.as_str(), r#""\ud83d""#, "1e400", "{"] {
            let answer = serde_json::to_string(&[stored_json(bad.as_bytes())]).unwrap();
            assert_eq!(serde_json::from_str::<Vec<String>>(&answer).unwrap(), [bad]);
        }
        assert_eq!(serde_json::to_string(&stored_json(br#"{"a": [1.50]}"#)).unwrap(), r#"{"a": [1.50]}"#);
    }
}
