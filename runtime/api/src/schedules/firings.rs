//! The firings of a schedule that did not go as usual.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{DeploymentName, ScheduleName};

use super::get::find;
use super::json::FiringJson;
use crate::list::{List, page_request};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists the firings of a schedule that did not go as usual
///
/// Newest first: what was skipped, dropped, late or missed, or passed while it was paused. The newest 1,000 entries are kept; firings
/// that met the same in one look are one entry.
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}/firings", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = List<FiringJson<'_>>))
)]
pub async fn firings(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let scope = format!("firings {deployment} {name}");
    let request = page_request(&params, &scope)?;
    find(&state, &deployment, &name).await?;
    let page = state.host.store().firing_list(&deployment, &name, request).await?;
    Ok(ok(&List::of(&page, &scope, FiringJson::of)))
}
