//! Publishing from outside.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::{EventId, Topic};
use utoipa::ToSchema;

use crate::problem::{ApiResult, ProblemBody};
use crate::request::{PathParams, RawQuery, body, headers};
use crate::state::ApiState;
use crate::wire::json_once;

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPublished)]
pub struct PublishResultJson<'a> {
    /// The event.
    #[schema(value_type = String)]
    id: EventId,
    /// Its topic.
    topic: &'a str,
    /// It had been published before with the same `Idempotency-Key`, and is there once.
    duplicate: bool,
}

/// Publishes an event
///
/// The body is its payload, any JSON value of at most 64 KiB; `null` where it is left out. Every subscription that names the topic and
/// whose filter lets the payload pass makes a run for it, once.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/events", tag = "topics",
    params(
        ("topic" = String, Path, description = "the topic; it begins with its first event"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is one event of this topic, for a day; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the payload, at most 64 KiB"),
    responses(
        (status = 200, body = PublishResultJson<'_>, description = "the same key came before"),
        (status = 202, body = PublishResultJson<'_>, description = "it is in the store and cannot be lost"),
        (status = 422, body = ProblemBody, description = "the key came with another payload, or it would be a topic too many"),
    )
)]
pub async fn publish(
    State(state): State<ApiState>,
    PathParams(topic): PathParams<Topic>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (parts, content) = request.into_parts();
    headers::json(&parts.headers)?;
    let key = headers::idempotency_key(&parts.headers)?;
    // That it is JSON within its bounds is checked where the event is made.
    let payload = body::read(content, &parts.headers, EVENT_BYTES, state.config.body_timeout).await?;
    let sent = state.host.publish(topic.clone(), payload, key).await?;
    let published = PublishResultJson { id: sent.event, topic: topic.as_str(), duplicate: sent.duplicate };
    Ok(json_once(sent.duplicate, &published))
}
