//! Lists topics.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists topics, by name
///
/// A topic exists from its first event until its last event is removed.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Topic<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().topics(page_request(&params, "topics")?).await?;
    Ok(ok(&list_of(&page, "topics", shapes::Topic::of)))
}
