//! Deleting a topic.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Topic;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Deletes a topic with its events
///
/// A subscription loses the events that it has not received: its record counts them, and the feed
/// announces them. The next event that is published to that name creates the topic again.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "the topic")),
    responses(
        (status = 200, body = shapes::TopicDeletion, description = "deleted"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such topic"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(topic): PathParams<Topic>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let deleted = state.host.delete_topic(topic).await?;
    Ok(ok(&shapes::TopicDeletion { events: deleted.events, lost: deleted.lost }))
}
