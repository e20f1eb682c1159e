//! Cancelling an operation.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, PathWord, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Cancels an operation
///
/// The operation stops after the batch in progress. Its results stay: a backfill's runs, for
/// example, have the operation in `trigger.id`. A completed or cancelled operation does not change;
/// `state` in the answer shows which it is.
#[utoipa::path(
    post, path = "/v1/operations/{id}/cancel", tag = "operations",
    params(("id" = String, Path, description = "the operation")),
    responses((status = 200, body = shapes::Operation<'_>, description = "the operation as it is now"))
)]
pub async fn cancel(
    State(state): State<ApiState>,
    PathParams(id): PathParams<PathWord>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(ok(&shapes::Operation::of(&state.host.cancel_operation(&id.0).await?)))
}
