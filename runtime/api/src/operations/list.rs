//! The operations that are kept.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_store::records::OperationState;

use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{RawQuery, bad};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists operations
///
/// Sorted by id, which is by age except for backfills with an `Idempotency-Key`. A page may hold
/// fewer than `limit` operations, even none, and still have a `next`. Completed operations are kept
/// as long as records of runs (`--retention`).
#[utoipa::path(
    get, path = "/v1/operations", tag = "operations",
    params(
        ("state" = Option<String>, Query, description = "`running`, `done`, `cancelled` or `all`; `running` if left out"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Operation<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["state", "limit", "cursor"])?;
    let wanted = match params.text("state")? {
        None | Some("running") => Some(OperationState::Running),
        Some("done") => Some(OperationState::Done),
        Some("cancelled") => Some(OperationState::Cancelled),
        Some("all") => None,
        Some(other) => return Err(bad("state", other, "it is `running`, `done`, `cancelled` or `all`")),
    };
    let scope = format!("operations {wanted:?}");
    let mut page = state.host.store().operations(page_request(&params, &scope)?).await?;
    page.items.retain(|operation| wanted.is_none_or(|wanted| operation.state == wanted));
    Ok(ok(&list_of(&page, &scope, shapes::Operation::of)))
}
