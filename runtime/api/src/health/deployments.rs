//! The health of deployments.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::health::HealthStatus;

use super::json;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists the health of deployments, by name
#[utoipa::path(
    get, path = "/v1/health/deployments", tag = "health",
    params(
        ("status" = Option<String>, Query, description = "`unknown`, `healthy`, `degraded` or `unhealthy`"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::HealthSummary<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["status", "limit", "cursor"])?;
    let status = params.parsed::<HealthStatus>("status")?;
    let scope = format!("health {status:?}");
    let page = state.host.health_of_deployments(status, &page_request(&params, &scope)?);
    Ok(ok(&list_of(&page, &scope, json::summary)))
}

/// Shows the health of a deployment
///
/// The results of its last checks, the signals that the host derives from its runs, and its uptime.
#[utoipa::path(
    get, path = "/v1/health/deployments/{name}", tag = "health",
    params(("name" = String, Path, description = "the deployment")),
    responses((status = 200, body = shapes::DeploymentHealth<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let health = state.host.health_of(&name).await?;
    Ok(ok(&json::deployment(&health)))
}

/// Lists the changes of a deployment's health, the newest first
#[utoipa::path(
    get, path = "/v1/health/deployments/{name}/transitions", tag = "health",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::HealthTransition<'_>>))
)]
pub async fn transitions(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let scope = format!("health of {name}");
    let page = state.host.health_transitions(&name, page_request(&params, &scope)?).await?;
    Ok(ok(&list_of(&page, &scope, json::transition)))
}
