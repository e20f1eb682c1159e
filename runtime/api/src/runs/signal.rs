//! Telling a run something: by its id, or by the idempotency key that made it.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tidemill_control::SignalTarget;
use tidemill_core::{DeploymentName, RunId};
use tidemill_store::records::SIGNAL_BYTES;
use utoipa::ToSchema;

use crate::problem::{ApiResult, ProblemBody};
use crate::request::{PathParams, PathWord, RawQuery, body, headers};
use crate::state::ApiState;
use crate::wire::json_once;

/// What became of a signal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignalSent)]
pub struct SignalJson<'a> {
    /// The run that gets it.
    #[schema(value_type = String)]
    run: RunId,
    /// Its name.
    signal: &'a str,
    /// It had come before with the same `Idempotency-Key`, and is there once.
    duplicate: bool,
}

/// Sends a signal to a run
///
/// The body is its payload, any JSON value of at most 64 KiB; `null` where it is left out. It is kept until the run asks for a
/// signal of that name, in the order of arrival: at most 1,000 and 1 MiB at a time. If the run waits for that name and none has come, it
/// is taken beyond that. Where the run's component declares the signal, the payload is checked by its schema.
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
        (status = 200, body = SignalJson<'_>, description = "the same key came before"),
        (status = 202, body = SignalJson<'_>, description = "it is in the run's inbox and cannot be lost"),
        (status = 409, body = ProblemBody, description = "the run has ended"),
        (status = 422, body = ProblemBody, description = "the run's inbox is full, or the key sent a signal of another name or payload"),
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

/// Sends a signal to the run that a key made
///
/// As to a run by its id; for whoever knows the `Idempotency-Key` of the request that started it, such as an order's number.
#[utoipa::path(
    post, path = "/v1/deployments/{name}/keys/{key}/signals/{signal}", tag = "runs",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the idempotency key with which the run was asked for"),
        ("signal" = String, Path, description = "the signal's name, 1 to 255 bytes"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is one signal, for as long as the run is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the payload, at most 64 KiB"),
    responses(
        (status = 200, body = SignalJson<'_>, description = "the same key came before"),
        (status = 202, body = SignalJson<'_>, description = "it is in the run's inbox and cannot be lost"),
        (status = 409, body = ProblemBody, description = "the run has ended"),
        (status = 422, body = ProblemBody, description = "the run's inbox is full, or the key sent a signal of another name or payload"),
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
    // That it is JSON within its bounds is checked where the signal is made.
    let payload = body::read(content, &parts.headers, SIGNAL_BYTES, state.config.body_timeout).await?;
    let sent = state.host.signal(to, name.clone(), payload, key).await?;
    Ok(json_once(sent.duplicate, &SignalJson { run: sent.run, signal: &name, duplicate: sent.duplicate }))
}
