//! Extracts the caller's idempotency key.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::headers::{self, IDEMPOTENCY_KEY};
use crate::problem::{ApiResult, Problem};

/// The `Idempotency-Key` of a request, for a handler that honours it.
///
/// It removes the header from the request. [`super::JsonBody`], which is extracted last, refuses
/// a key that no handler has taken. So a `POST` either honours the key or refuses it.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        let key = headers::idempotency_key(&parts.headers)?;
        parts.headers.remove(&IDEMPOTENCY_KEY);
        Ok(Self(key))
    }
}
