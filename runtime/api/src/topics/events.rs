//! The events of a topic.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{Code, Topic};

use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists the events of a topic, oldest first
///
/// Lists the events that are still kept. A page ends after 4 MiB of payloads, whatever `limit` is.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/events", tag = "topics",
    params(
        ("topic" = String, Path, description = "the topic"),
        ("since" = Option<String>, Query, description = "published at or after this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses(
        (status = 200, body = shapes::List<shapes::TopicEvent<'_>>),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such topic"),
    )
)]
pub async fn events(
    State(state): State<ApiState>,
    PathParams(topic): PathParams<Topic>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["since", "limit", "cursor"])?;
    let since = params.time("since")?;
    let scope = format!("events {topic} {since:?}");
    let store = state.host.store();
    let page = store.topic_events(&topic, since, page_request(&params, &scope)?).await?;
    if page.items.is_empty() && store.topic(&topic).await?.is_none() {
        return Err(Problem::new(Code::TopicNotFound, format!("there is no topic `{topic}`")));
    }
    Ok(ok(&list_of(&page, &scope, shapes::TopicEvent::of)))
}
