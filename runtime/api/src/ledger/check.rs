//! Recomputing the ledger.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::problem::ApiResult;
use crate::request::{JsonBody, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Recomputes every total of the ledger from its entries
#[utoipa::path(
    post, path = "/v1/ledger/check", tag = "ledger",
    responses((status = 200, body = shapes::LedgerCheck<'_>, description = "the result, even if it finds differences"))
)]
pub async fn check(State(state): State<ApiState>, query: RawQuery, body: JsonBody) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let check = state.host.store().check_ledger().await?;
    if !check.problems.is_empty() {
        tracing::error!(problems = check.problems.len(), "ledger totals differ from the sums of their entries");
    }
    Ok(ok(&shapes::LedgerCheck::of(&check)))
}
