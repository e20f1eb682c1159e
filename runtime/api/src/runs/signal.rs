//! Sending a signal to a run, by the run's id or by its idempotency key.

use axum::extract::{Request, State};
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::SignalTarget;
use tidemill_core::{DeploymentName, RunId};
use tidemill_store::records::SIGNAL_BYTES;

use crate::problem::ApiResult;
use crate::request::{PathParams, PathWord, RawQuery, body, headers};
use crate::state::ApiState;
use crate::wire::json_once;

/// Sends a signal to a run
///
/// The body is the payload: any JSON value of at most 64 KiB; `null` if left out. The signal is
/// kept until the run receives a signal of that name; signals are received in the order of arrival.
/// At most 1,000 signals and 1 MiB of payloads wait at a time. If the run already waits for that
/// name and no such signal is kept, the signal is accepted beyond these limits. If the run's
/// component declares the signal, its schema validates the payload.
#[utoipa::path(
    post, path = "/v1/runs/{id}/signals/{name}", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("name" = String, Path, description = "the signal's name, 1 to 255 bytes"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is one signal, for as long as the run is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the payload, at most 64 KiB"),
    responses(
        (status = 200, body = shapes::SignalResult<'_>, description = "the same key came before"),
        (status = 202, body = shapes::SignalResult<'_>, description = "the signal is durably stored in the run's inbox"),
        (status = 409, body = shapes::ProblemDetails, description = "the run has ended"),
        (status = 422, body = shapes::ProblemDetails, description = "the run's inbox is full, or the key sent a signal of another name or payload"),
    )
)]
pub async fn to_run(
    State(state): State<ApiState>,
    PathParams((id, name)): PathParams<(RunId, PathWord)>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    query.only(&[])?;
    send(&state, SignalTarget::Run(id), name.0, request).await
}

/// Sends a signal to the run of an idempotency key
///
/// The same as by the run's id, for callers that know only the `Idempotency-Key` of the request
/// that started the run, such as an order number.
#[utoipa::path(
    post, path = "/v1/deployments/{name}/keys/{key}/signals/{signal}", tag = "runs",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the idempotency key with which the run was requested"),
        ("signal" = String, Path, description = "the signal's name, 1 to 255 bytes"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is one signal, for as long as the run is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the payload, at most 64 KiB"),
    responses(
        (status = 200, body = shapes::SignalResult<'_>, description = "the same key came before"),
        (status = 202, body = shapes::SignalResult<'_>, description = "the signal is durably stored in the run's inbox"),
        (status = 409, body = shapes::ProblemDetails, description = "the run has ended"),
        (status = 422, body = shapes::ProblemDetails, description = "the run's inbox is full, or the key sent a signal of another name or payload"),
    )
)]
pub async fn to_key(
    State(state): State<ApiState>,
    PathParams((deployment, key, name)): PathParams<(DeploymentName, PathWord, PathWord)>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    query.only(&[])?;
    send(&state, SignalTarget::Key(deployment, key.0), name.0, request).await
}

async fn send(state: &ApiState, to: SignalTarget, name: String, request: Request) -> ApiResult<Response> {
    let (parts, content) = request.into_parts();
    headers::json(&parts.headers)?;
    let key = headers::idempotency_key(&parts.headers)?;
    // The host checks the JSON and its bounds when it creates the signal.
    let payload = body::read(content, &parts.headers, SIGNAL_BYTES, state.config.body_timeout).await?;
    let sent = state.host.signal(to, name.clone(), payload, key).await?;
    Ok(json_once(
        sent.duplicate,
        &shapes::SignalResult { run: sent.run, signal: name.into(), duplicate: sent.duplicate },
    ))
}
