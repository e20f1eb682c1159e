//! Replaying one delivery.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeliveryId;

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, json_at};

/// Replays a delivery
///
/// Starts a new run with the delivery as it was, on the current revision of the deployment. What
/// the run posts to the ledger under the same ids is a duplicate there.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/replay", tag = "deliveries",
    params(("id" = String, Path, description = "the delivery")),
    responses(
        (status = 202, body = shapes::Run<'_>, description = "the new run; `Location` is its path"),
        (status = 409, body = shapes::ProblemDetails, description = "the delivery waits for a run, its run has not ended, or it was refused"),
    )
)]
pub async fn replay(
    State(state): State<ApiState>,
    PathParams(id): PathParams<DeliveryId>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let run = state.host.replay_delivery(id).await?;
    Ok(json_at(&format!("/v1/runs/{}", run.id), StatusCode::ACCEPTED, &shapes::Run::of((&run, None))))
}
