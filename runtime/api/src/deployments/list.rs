//! Lists deployments.

use axum::extract::State;
use axum::response::Response;

use super::json::DeploymentJson;
use crate::list::{List, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists deployments, by name
#[utoipa::path(
    get, path = "/v1/deployments", tag = "deployments",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = List<DeploymentJson<'_>>, description = "the deployments, without their manifests"))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().deployments(page_request(&params, "deployments")?).await?;
    Ok(ok(&List::of(&page, "deployments", DeploymentJson::brief)))
}
