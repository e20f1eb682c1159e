//! Pausing, resuming and resyncing a schedule.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, ScheduleName};

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Pauses a schedule
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/pause", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    request_body(content = Option<shapes::PauseRequest>),
    responses((status = 200, body = shapes::Schedule<'_>))
)]
pub async fn pause(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let note = body.note()?;
    let schedule = state.host.pause_schedule(&deployment, &name, note).await?;
    Ok(ok(&shapes::Schedule::of((&schedule, &state.host))))
}

/// Resumes a schedule
///
/// The schedule continues with its next time from now. Times that passed during the pause are not
/// caught up.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/resume", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses((status = 200, body = shapes::Schedule<'_>))
)]
pub async fn resume(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let schedule = state.host.resume_schedule(&deployment, &name).await?;
    Ok(ok(&shapes::Schedule::of((&schedule, &state.host))))
}

/// Resyncs a schedule after the clock was set back
///
/// A nominal time never fires twice, so a schedule is silent while the clock repeats times that it
/// has shown before. A resync makes the schedule fire at its next time from now. Nominal times
/// between now and then may make a second run.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/resync", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses(
        (status = 200, body = shapes::Schedule<'_>),
        (status = 409, body = shapes::ProblemDetails, description = "the schedule is not silent"),
    )
)]
pub async fn resync(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let schedule = state.host.resync_schedule(&deployment, &name).await?;
    Ok(ok(&shapes::Schedule::of((&schedule, &state.host))))
}
