//! Answers in JSON, and the trait that builds their shapes from records.

use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_store::records::Pause;

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

/// Builds the JSON shape of a record. The shapes and the records are types of other crates.
pub trait FromRecord<R> {
    /// Builds the shape.
    fn of(record: R) -> Self;
}

impl FromRecord<&Pause> for shapes::Pause {
    fn of(pause: &Pause) -> Self {
        Self { since: pause.since.into(), note: pause.note.clone() }
    }
}
