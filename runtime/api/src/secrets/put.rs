//! Setting a secret. No answer and no refusal shows a part of the value.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::{OVERLAP_MAX, SECRET_BYTES, SecretChange};
use tidemill_core::ids::SecretName;
use tidemill_core::wire::parse_span;
use tidemill_store::records::SecretEncoding;
use zeroize::Zeroizing;

use super::json::ENCODINGS;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery, bad};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, json};

/// Maximum length of a value's text, in bytes: hexadecimal digits take two for each byte.
const TEXT_BYTES: usize = 2 * SECRET_BYTES + 2;

/// Sets a secret
///
/// The new value is used at once, for signatures and in requests. Hooks still accept signatures of
/// older versions until `overlap` has passed, or until the end that an earlier overlap gave them.
/// Then their bytes are removed. The same value again makes no new version, so this request can be
/// repeated.
#[utoipa::path(
    put, path = "/v1/secrets/{name}", tag = "secrets",
    params(
        ("name" = String, Path, description = "the secret"),
        ("overlap" = Option<String>, Query, description = "how long older versions stay valid, such as `24h`; 0 s to 90 days, 0 s if left out"),
    ),
    request_body(content = shapes::SecretRequest<'_>),
    responses(
        (status = 200, body = shapes::Secret<'_>, description = "replaced, or unchanged"),
        (status = 201, body = shapes::Secret<'_>, description = "created"),
        (status = 422, body = shapes::ProblemDetails, description = "there are too many secrets, or valid versions of this one"),
        (status = 503, body = shapes::ProblemDetails, description = "the host has no master key"),
    )
)]
pub async fn put(
    State(state): State<ApiState>,
    PathParams(name): PathParams<SecretName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    let params = query.only(&["overlap"])?;
    let overlap = params.text("overlap")?.map(overlap).transpose()?.unwrap_or_default();
    let (value, encoding) = body.fields(|fields, problems| {
        let fix = "Give the value as text, base64 or hexadecimal digits.";
        let value = fields.require("value", fix, problems).and_then(|field| field.text(TEXT_BYTES, problems));
        let encoding = match fields.take("encoding") {
            None => Some(SecretEncoding::Text),
            Some(field) => field.choice(&ENCODINGS, problems),
        };
        Some((Zeroizing::new(value?), encoding?))
    })?;
    let put = state.host.put_secret(SecretChange { name, value, encoding, overlap }).await?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &shapes::Secret::of(&put.secret)))
}

fn overlap(text: &str) -> ApiResult<Duration> {
    let span = parse_span(text).ok().filter(|span| *span <= OVERLAP_MAX);
    span.ok_or_else(|| bad("overlap", text, "it is a span of time such as `24h`, from 0s to 90 days"))
}
