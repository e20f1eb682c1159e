//! Pausing and resuming a deployment.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;

use super::get::tagged;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;

/// Pauses a deployment
///
/// The deployment admits no runs and fires no schedules. Running runs continue; new requests wait.
#[utoipa::path(
    post, path = "/v1/deployments/{name}/pause", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    request_body(content = Option<shapes::PauseRequest>),
    responses((status = 200, body = shapes::Deployment<'_>))
)]
pub async fn pause(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let note = body.note()?;
    Ok(tagged(&state, &state.host.pause(&name, note).await?))
}

/// Resumes a deployment
#[utoipa::path(
    post, path = "/v1/deployments/{name}/resume", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = shapes::Deployment<'_>))
)]
pub async fn resume(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(tagged(&state, &state.host.resume(&name).await?))
}
