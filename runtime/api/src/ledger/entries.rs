//! The ledger's entries.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::LedgerStream;

use super::{Amounts, check_known, json};
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists ledger entries by the time at which they happened, newest first
#[utoipa::path(
    get, path = "/v1/ledger/entries", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::LedgerEntry<'_>>))
)]
pub async fn entries(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["stream", "limit", "cursor"])?;
    let stream = params.parsed::<LedgerStream>("stream")?;
    let scope = format!("entries {stream:?}");
    let page = state.host.store().ledger_entries(stream.as_ref(), page_request(&params, &scope)?).await?;
    if page.items.is_empty() {
        check_known(&state, stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    Ok(ok(&list_of(&page, &scope, |entry| json::entry(entry, &amounts))))
}
