//! The ledger's accounts.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::LedgerStream;

use super::{Amounts, check_known, json};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists accounts with their balances
#[utoipa::path(
    get, path = "/v1/ledger/accounts", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream"),
        ("paper" = Option<bool>, Query, description = "of streams on paper instead"),
    ),
    responses((status = 200, body = shapes::List<shapes::Account<'_>>, description = "the items"))
)]
pub async fn accounts(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["stream", "paper"])?;
    let stream = params.parsed::<LedgerStream>("stream")?;
    let paper = params.flag("paper")?;
    let mut totals = state.host.store().account_totals(stream.as_ref(), state.host.clock().now()).await?;
    totals.retain(|total| total.paper == paper);
    if totals.is_empty() {
        check_known(&state, stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    let items = totals.iter().map(|total| json::account(total, &amounts)).collect();
    Ok(ok(&shapes::List { items, next: None }))
}
