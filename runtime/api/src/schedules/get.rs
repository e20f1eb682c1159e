//! One schedule.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{Code, DeploymentName, ScheduleName};

use super::json::ScheduleJson;
use crate::problem::{Answer, Problem};
use crate::request::{At, RawParams};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a schedule
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses((status = 200, body = ScheduleJson<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, ScheduleName)>,
    query: RawParams,
) -> Answer<Response> {
    query.only(&[])?;
    let schedule = state.host.store().schedule(&deployment, &name).await?.ok_or_else(|| {
        Problem::new(Code::ScheduleNotFound, format!("deployment `{deployment}` has no schedule `{name}`"))
    })?;
    Ok(ok(&ScheduleJson::of(&schedule)))
}
