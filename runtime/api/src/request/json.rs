//! Parses small JSON objects in bodies: rejects unknown fields, and reports the position of each
//! error.

use axum::extract::{FromRequest, Request};
use axum::http::Method;
use serde_json::{Map, Value};
use tidemill_core::Code;
use tidemill_core::wire::{self, InvalidJson, json};

use super::{body, headers};
use crate::config::{DOCUMENT_BYTES, NOTE_BYTES};
use crate::problem::{ApiResult, Problem};
use crate::state::ApiState;

/// The body of a request: a JSON object, or nothing.
#[derive(Debug)]
pub struct JsonBody(wire::ObjectReader);

impl FromRequest<ApiState> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> ApiResult<Self> {
        let (parts, content) = request.into_parts();
        if parts.method == Method::POST && parts.headers.contains_key(headers::IDEMPOTENCY_KEY) {
            return Err(Problem::new(Code::BadHeader, "this request does not take an `idempotency-key`")
                .fix("Omit the header, and check the current state before you repeat the request."));
        }
        let bytes = body::read(content, &parts.headers, DOCUMENT_BYTES, state.config.body_timeout).await?;
        if bytes.is_empty() {
            return Ok(Self(wire::ObjectReader::new(String::new(), Map::new())));
        }
        headers::json(&parts.headers)?;
        Self::read(&bytes)
    }
}

impl JsonBody {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`Code::BadJson`] with the position; [`Code::BadField`] if it is not an object.
    pub fn read(bytes: &[u8]) -> ApiResult<Self> {
        match json::parse(bytes, DOCUMENT_BYTES).map_err(bad_json)? {
            Value::Object(fields) => Ok(Self(wire::ObjectReader::new(String::new(), fields))),
            _ => Err(Problem::new(Code::BadField, "the body is not a JSON object")),
        }
    }

    /// Checks that no field is left.
    ///
    /// # Errors
    /// [`Code::UnknownField`].
    pub fn nothing(self) -> ApiResult<()> {
        let mut problems = Vec::new();
        self.0.finish(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(Problem::of_fields(Code::UnknownField, problems)) }
    }

    /// Returns what `take` builds from the fields; fields that it leaves are unknown. `take` adds
    /// each problem to the given list, and returns `None` only if it added one.
    ///
    /// # Errors
    /// The code of the first problem, with a pointer for each.
    pub fn fields<T>(
        mut self,
        take: impl FnOnce(&mut wire::ObjectReader, &mut Vec<wire::InputProblem>) -> Option<T>,
    ) -> ApiResult<T> {
        let mut problems = Vec::new();
        let taken = take(&mut self.0, &mut problems);
        self.0.finish(&mut problems);
        match (taken, problems.first()) {
            (Some(taken), None) => Ok(taken),
            (_, Some(first)) => Err(Problem::of_fields(first.code, problems)),
            (None, None) => Err(Problem::new(Code::BadField, "the body lacks a required field")),
        }
    }

    /// Reads a body whose only field is a reason: `note`, empty if left out.
    ///
    /// # Errors
    /// [`Code::BadField`] and [`Code::UnknownField`], with pointers.
    pub fn note(self) -> ApiResult<String> {
        self.fields(|fields, problems| match fields.take("note") {
            None => Some(String::new()),
            Some(note) => note.text(NOTE_BYTES, problems),
        })
    }
}

/// Refuses a body that is not JSON within its bounds.
fn bad_json(why: InvalidJson) -> Problem {
    let code = if matches!(why, InvalidJson::TooLarge { .. }) { Code::BodyTooLarge } else { Code::BadJson };
    Problem::new(code, why.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest_name() {
        let problem = JsonBody::read(br#"{"nte": "x", "~/": 1}"#).unwrap().note().unwrap_err();
        assert_eq!(problem.code(), "host/unknown-field");
        let field = problem.body().errors.iter().find(|field| field.pointer == "/nte").unwrap();
        assert!(field.fix.as_deref().unwrap().contains("`note`"));
        assert!(problem.body().errors.iter().any(|field| field.pointer == "/~0~1"));
        assert!(JsonBody::read(b"{\"x\": 1}").unwrap().nothing().is_err());
    }

    #[test]
    fn bad_json_is_refused_with_its_position() {
        let problem = JsonBody::read(b"{\n  \"note\": }").unwrap_err();
        assert_eq!(problem.code(), "host/bad-json");
        assert!(problem.body().detail.contains("line 2"), "{}", problem.body().detail);
    }

    #[test]
    fn a_field_of_another_type_is_refused_with_its_pointer() {
        let problem = JsonBody::read(br#"{"note": 7}"#).unwrap().note().unwrap_err();
        assert_eq!((problem.code(), problem.body().errors[0].pointer.as_str()), ("host/bad-field", "/note"));
        assert_eq!(JsonBody::read(br#"{"note": "x"}"#).unwrap().note().unwrap(), "x");
        let long = format!("{{\"note\": \"{}\"}}", "x".repeat(NOTE_BYTES + 1));
        assert!(JsonBody::read(long.as_bytes()).unwrap().note().is_err());
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = JsonBody::read(&bytes).and_then(JsonBody::note);
        }

        #[test]
        fn json_like_text_never_panics(text in "[\\[\\]{}\",:0-9a-z \\\\~/-]{0,200}") {
            let _ = JsonBody::read(text.as_bytes()).and_then(JsonBody::note);
        }
    }
}
