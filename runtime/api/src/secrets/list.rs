//! Lists secrets.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_store::records::Page;

use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists secrets, by name, without their values
///
/// Includes those in the environment and in files of the host, unless the store has one of the same
/// name.
#[utoipa::path(
    get, path = "/v1/secrets", tag = "secrets",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Secret<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let request = page_request(&params, "secrets")?;
    let mut items = state.host.secrets();
    if let Some(after) = &request.cursor {
        items.retain(|secret| secret.name().as_bytes() > after.as_slice());
    }
    let more = items.len() > request.limit;
    items.truncate(request.limit);
    let next = items.last().filter(|_| more).map(|last| last.name().as_bytes().to_vec());
    Ok(ok(&list_of(&Page { items, next }, "secrets", shapes::Secret::of)))
}
