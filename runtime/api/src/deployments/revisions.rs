//! The revisions of a deployment.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;

use super::get::find;
use super::json::with_manifest;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists a deployment's revisions, newest first
#[utoipa::path(
    get, path = "/v1/deployments/{name}/revisions", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Deployment<'_>>, description = "the revisions, with their manifests"))
)]
pub async fn revisions(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let scope = format!("revisions {name}");
    let request = page_request(&params, &scope)?;
    find(&state, &name).await?;
    let page = state.host.store().revisions(&name, request).await?;
    Ok(ok(&list_of(&page, &scope, with_manifest)))
}
