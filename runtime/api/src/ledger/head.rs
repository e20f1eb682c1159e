//! The end of the ledger's chain.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows the number and hash of the last entry
///
/// Note both in another place. Later, the entry with that number must have that hash, or the ledger
/// up to it was changed.
#[utoipa::path(get, path = "/v1/ledger/head", tag = "ledger", responses((status = 200, body = shapes::LedgerHead)))]
pub async fn head(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let head = state.host.store().ledger_head().await?;
    Ok(ok(&shapes::LedgerHead::of(&head)))
}
