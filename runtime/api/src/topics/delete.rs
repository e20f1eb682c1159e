//! Deleting a topic.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::Topic;
use utoipa::ToSchema;

use crate::problem::{ApiResult, ProblemBody};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// The result of deleting a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicDeleted)]
pub struct TopicDeletionJson {
    /// Number of deleted events.
    events: u64,
    /// Number of times that an event was deleted before a subscription received it.
    lost: u64,
}

/// Deletes a topic with its events
///
/// A subscription loses the events that it has not received: its record counts them, and the feed
/// announces them. The next event that is published to that name creates the topic again.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "the topic")),
    responses(
        (status = 200, body = TopicDeletionJson, description = "deleted"),
        (status = 404, body = ProblemBody, description = "there is no such topic"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(topic): PathParams<Topic>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let deleted = state.host.delete_topic(topic).await?;
    Ok(ok(&TopicDeletionJson { events: deleted.events, lost: deleted.lost }))
}
