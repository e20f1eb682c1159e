//! Publishing an event through the API.

use axum::extract::{Request, State};
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Topic;
use tidemill_core::topics::EVENT_BYTES;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery, body, headers};
use crate::state::ApiState;
use crate::wire::json_once;

/// Publishes an event
///
/// The body is the payload: any JSON value of at most 64 KiB; `null` if left out. Every
/// subscription that matches the topic and whose filter accepts the payload makes one run for the
/// event.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/events", tag = "topics",
    params(
        ("topic" = String, Path, description = "the topic; its first event creates it"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is one event of this topic, for a day; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the payload, at most 64 KiB"),
    responses(
        (status = 200, body = shapes::PublishResult<'_>, description = "the same key came before"),
        (status = 202, body = shapes::PublishResult<'_>, description = "the event is durably stored"),
        (status = 422, body = shapes::ProblemDetails, description = "the key came with another payload, or the maximum number of topics is reached"),
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
    // The host checks the JSON and its bounds when it creates the event.
    let payload = body::read(content, &parts.headers, EVENT_BYTES, state.config.body_timeout).await?;
    let sent = state.host.publish(topic.clone(), payload, key).await?;
    let published = shapes::PublishResult { id: sent.event, topic: topic.as_str().into(), duplicate: sent.duplicate };
    Ok(json_once(sent.duplicate, &published))
}
