//! One deployment.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::Response;
use tidemill_core::{Code, DeploymentName};
use tidemill_store::records::Deployment;

use super::json::DeploymentJson;
use crate::problem::{Answer, Problem};
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
/// [`Code::DeploymentNotFound`].
pub async fn find(state: &ApiState, name: &DeploymentName) -> Answer<Deployment> {
    state.host.store().deployment(name).await?.ok_or_else(|| not_found(name))
}

/// The refusal of a name that no deployment has.
#[must_use]
pub fn not_found(name: &DeploymentName) -> Problem {
    Problem::new(Code::DeploymentNotFound, format!("there is no deployment `{name}`"))
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
