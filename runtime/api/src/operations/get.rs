//! The progress of one operation.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::problem::ApiResult;
use crate::request::{PathParams, PathWord, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows an operation
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "operations",
    params(("id" = String, Path, description = "the operation")),
    responses((status = 200, body = shapes::Operation<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(id): PathParams<PathWord>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&shapes::Operation::of(&state.host.operation(&id.0).await?)))
}
