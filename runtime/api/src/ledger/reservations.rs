//! Open reservations.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use super::{Amounts, json};
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists open reservations, the oldest first
///
/// One whose time is over is not listed, whether or not its amount is returned already.
#[utoipa::path(
    get, path = "/v1/ledger/reservations", tag = "ledger",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::LedgerEntry<'_>>, description = "the entries that made the reservations"))
)]
pub async fn reservations(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let mut page = state.host.store().open_reservations(page_request(&params, "reservations")?).await?;
    let now = state.host.clock().now();
    page.items.retain(|entry| entry.expires_at.is_none_or(|end| end > now));
    let amounts = Amounts::of(&state).await?;
    Ok(ok(&list_of(&page, "reservations", |entry| json::entry(entry, &amounts))))
}
