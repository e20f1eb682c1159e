//! Ending a run.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::RunId;

use super::get::whole;
use super::json::RunJson;
use crate::problem::{ApiResult, ProblemBody};
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;

/// Cancels a run
///
/// Its children end first. Then one that has begun is told, once, and has a grace period in which it may undo what it did; its
/// record says when it has ended. One that is parked, or queued with nothing behind it, ends at once and untold. With
/// `terminate=true`, or where it was asked before, it ends at once. One that is cancelled already is answered as it is; if it waits for
/// a person because it could not undo what it did, it does so no more.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("terminate" = Option<bool>, Query, description = "without telling it, and its children with it"),
    ),
    responses(
        (status = 200, body = RunJson<'_>, description = "the run as it stands now"),
        (status = 409, body = ProblemBody, description = "the run has succeeded or failed"),
    )
)]
pub async fn cancel(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    let terminate = query.only(&["terminate"])?.flag("terminate")?;
    body.nothing()?;
    let run = state.host.cancel(id, terminate).await?;
    whole(&state, &run).await
}
