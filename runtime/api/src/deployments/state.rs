//! The state of a deployment, for an operator who inspects or repairs it.
//!
//! Values are sent and returned byte for byte, because a guest may store any bytes.

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tidemill_api_types as shapes;
use tidemill_core::limits::STATE_VALUE_BYTES;
use tidemill_core::{Code, DeploymentName, Revision};
use tidemill_store::records::{ScanRequest, Version};

use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::headers::{self, RevisionCondition};
use crate::request::{PathParams, RawQuery, StateKey, body};
use crate::state::ApiState;
use crate::wire::{json, ok};

/// Maximum length of a value in a list, in characters.
const PREVIEW_CHARS: usize = 100;

/// Lists the keys of a deployment's state
///
/// Sorted by the bytes of the keys, without whole values. A page also ends after 1 MiB of values.
#[utoipa::path(
    get, path = "/v1/deployments/{name}/state", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("prefix" = Option<String>, Query, description = "only keys that begin with this"),
        ("limit" = Option<usize>, Query, description = "maximum number of keys, 1 to 500; 50 by default"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::StateEntry>))
)]
pub async fn list(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["prefix", "limit", "cursor"])?;
    let prefix = params.text("prefix")?.unwrap_or_default().to_owned();
    let scope = format!("state {name} {prefix}");
    let page = page_request(&params, &scope)?;
    let after = page.cursor.map(String::from_utf8).transpose();
    let after = after.map_err(|_| Problem::new(Code::BadCursor, "the cursor is not one of this list"))?;
    let found = state.host.scan_state(&name, ScanRequest { prefix, after, limit: page.limit }).await?;
    let last = found.entries.last().filter(|_| found.more).map(|(key, ..)| key.clone().into_bytes());
    let entries = tidemill_store::records::Page { items: found.entries, next: last };
    Ok(ok(&list_of(&entries, &scope, |(key, value, version)| shapes::StateEntry {
        key: key.clone(),
        bytes: value.len() as u64,
        version: version.0,
        preview: std::str::from_utf8(value).ok().map(|text| text.chars().take(PREVIEW_CHARS).collect()),
    })))
}

/// Reads a value of a deployment's state
///
/// Returns the value byte for byte, with its version as `ETag`. Write a `/` in the key as `%2F`.
#[utoipa::path(
    get, path = "/v1/deployments/{name}/state/{key}", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the key, 1 to 512 bytes"),
    ),
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such deployment, or no value under this key"),
    )
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams((name, key)): PathParams<(DeploymentName, StateKey)>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (value, version) = state.host.state_value(&name, &key.0).await?;
    let mut response = (StatusCode::OK, value).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // A guest chose the bytes, so no browser may render them as a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    tag(headers, version);
    Ok(response)
}

/// Sets a value of a deployment's state
///
/// The body is the value, with any `Content-Type`. The event feed announces the change. Runs that
/// have read the key repeat the transaction that read it.
#[utoipa::path(
    put, path = "/v1/deployments/{name}/state/{key}", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the key, 1 to 512 bytes"),
        ("If-Match" = Option<String>, Header, description = "set it only if the value has this `ETag`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: set it only if there is no value"),
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "at most 1 MiB"),
    responses(
        (status = 200, body = shapes::StateChange<'_>, description = "replaced"),
        (status = 201, body = shapes::StateChange<'_>, description = "created"),
        (status = 412, body = shapes::ProblemDetails, description = "the value has another version"),
    )
)]
pub async fn put(
    State(state): State<ApiState>,
    PathParams((name, key)): PathParams<(DeploymentName, StateKey)>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (parts, content) = request.into_parts();
    let expected = expected(&state, &name, &key.0, &parts.headers).await?;
    let value = body::read(content, &parts.headers, STATE_VALUE_BYTES, state.config.body_timeout).await?;
    // Copy it, so that the value does not keep a larger buffer alive.
    let value = Bytes::copy_from_slice(&value);
    let bytes = value.len() as u64;
    let edited = state.host.edit_state(&name, key.0.clone(), Some(value), expected).await?;
    let status = if edited.existed { StatusCode::OK } else { StatusCode::CREATED };
    let change =
        shapes::StateChange { key: key.0.as_str().into(), bytes, version: edited.version.0, created: !edited.existed };
    let mut response = json(status, &change);
    tag(response.headers_mut(), edited.version);
    Ok(response)
}

/// Deletes a value of a deployment's state
///
/// The event feed announces the change. Runs that have read the key repeat the transaction that
/// read it.
#[utoipa::path(
    delete, path = "/v1/deployments/{name}/state/{key}", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the key, 1 to 512 bytes"),
        ("If-Match" = Option<String>, Header, description = "delete it only if the value has this `ETag`"),
    ),
    responses(
        (status = 204, description = "deleted"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such deployment, or no value under this key"),
        (status = 412, body = shapes::ProblemDetails, description = "the value has another version"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams((name, key)): PathParams<(DeploymentName, StateKey)>,
    query: RawQuery,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    query.only(&[])?;
    let expected = expected(&state, &name, &key.0, &headers).await?;
    state.host.edit_state(&name, key.0, None, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the version that the caller expects. For `If-Match: *`, it reads the current version and
/// expects that.
async fn expected(
    state: &ApiState,
    name: &DeploymentName,
    key: &str,
    headers: &HeaderMap,
) -> ApiResult<Option<Version>> {
    Ok(match headers::expected(headers)? {
        RevisionCondition::Anything => None,
        RevisionCondition::Nothing => Some(Version::ABSENT),
        RevisionCondition::At(number) => Some(Version(number.get())),
        RevisionCondition::Something => match state.host.state_value(name, key).await {
            Ok((_, version)) => Some(version),
            Err(error) if error.code() == Code::StateKeyNotFound => {
                return Err(Problem::new(Code::PreconditionFailed, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        },
    })
}

fn tag(headers: &mut HeaderMap, version: Version) {
    if let Some(tag) = headers::etag(Revision::new(version.0)) {
        headers.insert(ETAG, tag);
    }
}
