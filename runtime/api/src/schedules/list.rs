//! Lists schedules.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;

use crate::deployments::get::check_known;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists schedules, by deployment and name
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Schedule<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "limit", "cursor"])?;
    let deployment = params.parsed::<DeploymentName>("deployment")?;
    let scope = format!("schedules {deployment:?}");
    let page = state.host.store().schedules(deployment.as_ref(), page_request(&params, &scope)?).await?;
    if page.items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    Ok(ok(&list_of(&page, &scope, |schedule| shapes::Schedule::of((schedule, &state.host)))))
}
