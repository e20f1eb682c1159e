//! Cancelling a run.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::RunId;

use super::get::whole;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;

/// Cancels a run
///
/// Its children end first. Then a run that has started is notified once, and has a grace period in
/// which it may compensate; its record shows when it has ended. A run that is parked, or queued
/// without recorded work, ends at once without a notification. With `terminate=true`, or if it was
/// cancelled before, the run ends at once. A run that is already cancelled is returned unchanged,
/// except that it leaves the inbox if its compensation had failed.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("terminate" = Option<bool>, Query, description = "end it at once, children included, without a grace period"),
    ),
    responses(
        (status = 200, body = shapes::Run<'_>, description = "the run after the request"),
        (status = 409, body = shapes::ProblemDetails, description = "the run has succeeded or failed"),
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
