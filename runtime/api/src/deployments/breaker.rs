//! The circuit breaker of a deployment, and the decisions of operators about it.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::breaker::BreakerMode;

use super::json::breaker_of;
use crate::config::NOTE_BYTES;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery, required_words};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows the circuit breaker of a deployment
#[utoipa::path(
    get, path = "/v1/deployments/{name}/breaker", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = shapes::Breaker<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&breaker_of(&state.host.breaker(&name)?)))
}

/// Decides who controls the circuit breaker of a deployment
///
/// An operator forces the breaker open or closed, disables it, or lets the outcomes of attempts
/// decide again. The decision holds over revisions and restarts, until the next one. If it changes
/// who decides, the breaker forgets the attempts before it.
#[utoipa::path(
    put, path = "/v1/deployments/{name}/breaker", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    request_body(content = shapes::BreakerRequest),
    responses((status = 200, body = shapes::Breaker<'_>))
)]
pub async fn put(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    const MODE_FIX: &str = "Write \"automatic\", \"forced-open\", \"forced-closed\" or \"disabled\".";
    const NOTE_FIX: &str = "Give the reason, such as \"the provider is down\".";
    query.only(&[])?;
    let (mode, note) = body.fields(|fields, problems| {
        let modes = BreakerMode::ALL.map(|mode| (mode.as_str(), mode));
        let mode = fields.require("mode", MODE_FIX, problems).and_then(|field| field.choice(&modes, problems));
        let note = required_words(fields, "note", NOTE_FIX, NOTE_BYTES, problems);
        Some((mode?, note?))
    })?;
    Ok(ok(&breaker_of(&state.host.decide_breaker(&name, mode, note).await?)))
}
