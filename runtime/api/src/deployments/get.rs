//! One deployment.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::Response;
use tidemill_control::ControlError;
use tidemill_core::DeploymentName;
use tidemill_store::records::Deployment;

use super::json::DeploymentJson;
use crate::problem::Answer;
use crate::request::{At, RawParams, headers};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a deployment
#[utoipa::path(
    get, path = "/v1/deployments/{name}", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = DeploymentJson<'_>, description = "with its revision as `ETag`"))
)]
pub async fn get(State(state): State<ApiState>, At(name): At<DeploymentName>, query: RawParams) -> Answer<Response> {
    query.only(&[])?;
    let deployment = find(&state, &name).await?;
    Ok(tagged(&deployment))
}

/// The deployment of that name.
///
/// # Errors
/// `host/deployment-not-found`.
pub async fn find(state: &ApiState, name: &DeploymentName) -> Answer<Deployment> {
    Ok(state.host.store().deployment(name).await?.ok_or_else(|| ControlError::no_deployment(name))?)
}

/// The answer with a deployment and its entity tag.
#[must_use]
pub fn tagged(deployment: &Deployment) -> Response {
    let mut response = ok(&DeploymentJson::of(deployment));
    if let Some(tag) = headers::etag(deployment.revision) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
