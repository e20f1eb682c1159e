//! Lists the hooks of a deployment.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists the hooks of a deployment
///
/// In the order of the manifest, with the numbers of requests by result and the last refused
/// requests since the host started.
#[utoipa::path(
    get, path = "/v1/deployments/{name}/hooks", tag = "deliveries",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = shapes::List<shapes::Hook<'_>>))
)]
pub async fn list(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let hooks = state.host.hooks(&name)?;
    let items = hooks.iter().map(|hook| shapes::Hook::of((&name, hook))).collect();
    Ok(ok(&shapes::List { items, next: None }))
}
