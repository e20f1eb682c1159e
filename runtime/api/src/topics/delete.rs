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

/// What was deleted with a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicDeleted)]
pub struct TopicDeletionJson {
    /// How many events.
    events: u64,
    /// How many times one of them was deleted before a subscription was given it.
    lost: u64,
}

/// Deletes a topic with its events
///
/// What a subscription was not given yet is lost to it: counted in its record, and announced on the feed. A topic of that
/// name begins again with the next event that is published to it.
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
