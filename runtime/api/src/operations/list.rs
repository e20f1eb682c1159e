//! The operations that are going on.

use axum::extract::State;
use axum::response::Response;

use super::json::OperationJson;
use crate::list::List;
use crate::problem::Answer;
use crate::request::RawParams;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists the operations that are not done
///
/// Oldest first, at most `limit` of them; there are no further pages. One that is done is found by its id.
#[utoipa::path(
    get, path = "/v1/operations", tag = "operations",
    params(("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out")),
    responses((status = 200, body = List<OperationJson<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawParams) -> Answer<Response> {
    let limit = query.only(&["limit"])?.limit()?;
    let open = state.host.store().open_operations().await?;
    Ok(ok(&List { items: open.iter().take(limit).map(OperationJson::of).collect(), next: None }))
}
