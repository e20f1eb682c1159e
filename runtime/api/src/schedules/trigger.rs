//! Firing a schedule by hand.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_core::{DeploymentName, ScheduleName};

use crate::problem::Answer;
use crate::request::{At, Object, RawParams};
use crate::runs::json::RunJson;
use crate::state::ApiState;
use crate::wire::json_at;

/// Fires a schedule now
///
/// With its input, besides its own times; the next of these stays as it is.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/trigger", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
    ),
    responses((status = 202, body = RunJson<'_>, description = "the run is in the store; `Location` says where to look"))
)]
pub async fn trigger(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, ScheduleName)>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    body.nothing()?;
    let run = state.host.trigger(&deployment, &name).await?;
    Ok(json_at(&format!("/v1/runs/{}", run.id), StatusCode::ACCEPTED, &RunJson::brief(&run)))
}
