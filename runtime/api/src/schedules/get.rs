//! Shows one schedule.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::{DeploymentName, ScheduleName};
use tidemill_store::records::Schedule;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a schedule
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses((status = 200, body = shapes::Schedule<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&shapes::Schedule::of((&find(&state, &deployment, &name).await?, &state.host))))
}

/// Returns the schedule of that name.
///
/// # Errors
/// `host/schedule-not-found`.
pub async fn find(state: &ApiState, deployment: &DeploymentName, name: &ScheduleName) -> ApiResult<Schedule> {
    let found = state.host.store().schedule(deployment, name).await?;
    Ok(found.ok_or_else(|| ControlError::no_schedule(deployment, name))?)
}
