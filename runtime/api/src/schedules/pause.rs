//! Stopping a schedule from firing, and beginning again.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{DeploymentName, ScheduleName};

use super::json::ScheduleJson;
use crate::deployments::pause::PauseRequest;
use crate::problem::Answer;
use crate::request::{At, Object, RawParams};
use crate::state::ApiState;
use crate::wire::ok;

/// Pauses a schedule
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/pause", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    request_body(content = Option<PauseRequest>),
    responses((status = 200, body = ScheduleJson<'_>))
)]
pub async fn pause(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, ScheduleName)>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    let note = body.note()?;
    let schedule = state.host.pause_schedule(&deployment, &name, note).await?;
    Ok(ok(&ScheduleJson::of(&schedule)))
}

/// Resumes a schedule
///
/// It goes on with its next time from now; what was due meanwhile is not caught up.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/resume", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses((status = 200, body = ScheduleJson<'_>))
)]
pub async fn resume(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, ScheduleName)>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    body.nothing()?;
    let schedule = state.host.resume_schedule(&deployment, &name).await?;
    Ok(ok(&ScheduleJson::of(&schedule)))
}
