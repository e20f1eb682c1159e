//! The irregular firings of a schedule.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, ScheduleName};

use super::get::find;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists a schedule's irregular firings
///
/// Newest first: firings that were skipped, dropped, late, missed, or due while the schedule was
/// paused. The newest 1,000 entries are kept. Firings with the same outcome in one pass share one
/// entry.
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}/firings", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Firing<'_>>))
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
    Ok(ok(&list_of(&page, &scope, shapes::Firing::of)))
}
