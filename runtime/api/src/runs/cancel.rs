//! Ending a run, and trying one again.

use axum::extract::State;
use axum::response::Response;
use tidemill_control::RetryAsk;
use tidemill_core::RunId;

use super::get::whole;
use super::json::RunJson;
use crate::problem::{Answer, ProblemBody};
use crate::request::{At, Object, RawParams};
use crate::state::ApiState;

/// Cancels a run
///
/// One that is queued or parked ends at once; one that is running is told to stop, and its record says when it has.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses(
        (status = 200, body = RunJson<'_>),
        (status = 409, body = ProblemBody, description = "the run has ended"),
    )
)]
pub async fn cancel(
    State(state): State<ApiState>,
    At(id): At<RunId>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    body.nothing()?;
    let run = state.host.cancel(id, false).await?;
    whole(&state, &run).await
}

/// Tries a parked run again
#[utoipa::path(
    post, path = "/v1/runs/{id}/retry", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses(
        (status = 200, body = RunJson<'_>, description = "it is queued"),
        (status = 409, body = ProblemBody, description = "the run is not parked"),
    )
)]
pub async fn retry(
    State(state): State<ApiState>,
    At(id): At<RunId>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    body.nothing()?;
    let retried = state.host.retry(id, RetryAsk::default()).await?;
    whole(&state, &retried.run).await
}
