//! Lists deployments.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use super::json::with_breaker;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists deployments, by name
#[utoipa::path(
    get, path = "/v1/deployments", tag = "deployments",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Deployment<'_>>, description = "the deployments, without their manifests"))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().deployments(page_request(&params, "deployments")?).await?;
    let shape = |deployment| with_breaker(&state, shapes::Deployment::of(deployment), &deployment.name);
    Ok(ok(&list_of(&page, "deployments", shape)))
}
