//! Shows one deployment.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::DeploymentName;
use tidemill_core::money::LedgerStream;
use tidemill_store::records::{Deployment, PageRequest, RunFilter};

use super::json::{with_breaker, with_manifest};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery, headers};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a deployment
#[utoipa::path(
    get, path = "/v1/deployments/{name}", tag = "deployments",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = shapes::Deployment<'_>, description = "with its revision as `ETag`"))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let deployment = find(&state, &name).await?;
    Ok(tagged(&state, &deployment))
}

/// Returns the deployment of that name.
///
/// # Errors
/// `host/deployment-not-found`.
pub async fn find(state: &ApiState, name: &DeploymentName) -> ApiResult<Deployment> {
    Ok(state.host.store().deployment(name).await?.ok_or_else(|| ControlError::no_deployment(name))?)
}

/// Refuses a name that no deployment, run or ledger entry has: a filter by it is a mistake.
///
/// # Errors
/// `host/deployment-not-found`.
pub async fn check_known(state: &ApiState, name: Option<&DeploymentName>) -> ApiResult<()> {
    let Some(name) = name else { return Ok(()) };
    let store = state.host.store();
    let first = PageRequest::first(1);
    let runs = RunFilter { deployment: Some(name.clone()), ..RunFilter::default() };
    let known = store.deployment(name).await?.is_some()
        || !store.runs(runs, first.clone()).await?.items.is_empty()
        || !store.ledger_entries(Some(&LedgerStream::of(name)), first).await?.items.is_empty();
    if known { Ok(()) } else { Err(ControlError::no_deployment(name).into()) }
}

/// Builds the answer with a deployment and its entity tag.
#[must_use]
pub fn tagged(state: &ApiState, deployment: &Deployment) -> Response {
    let mut response = ok(&with_breaker(state, with_manifest(deployment), &deployment.name));
    if let Some(tag) = headers::etag(deployment.revision) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
