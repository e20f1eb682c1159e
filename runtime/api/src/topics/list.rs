//! All topics.

use axum::extract::State;
use axum::response::Response;

use super::json::TopicJson;
use crate::list::{List, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists topics, by name
///
/// A topic begins with its first event, and is forgotten with its last.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics",
    params(
        ("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = List<TopicJson<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().topics(page_request(&params, "topics")?).await?;
    Ok(ok(&List::of(&page, "topics", TopicJson::of)))
}
