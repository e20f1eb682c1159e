//! The channels that notifications about alerts are sent to.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::ChannelName;

use super::json;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists the channels for alerts with their queues, by name
#[utoipa::path(
    get, path = "/v1/alerts/channels", tag = "alerts",
    responses((status = 200, body = shapes::List<shapes::AlertChannel<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let channels = state.host.alert_channels().await?;
    Ok(ok(&shapes::List { items: channels.iter().map(json::channel).collect(), next: None }))
}

/// Sends a test message to a channel, and waits for its answer
///
/// The message is sent at once and not stored. If the receiver does not accept it, the answer has
/// the reason: the request itself was served.
#[utoipa::path(
    post, path = "/v1/alerts/channels/{name}/test", tag = "alerts",
    params(("name" = String, Path, description = "the channel")),
    responses((status = 200, body = shapes::AlertChannelTest<'_>))
)]
pub async fn test(
    State(state): State<ApiState>,
    PathParams(name): PathParams<ChannelName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(ok(&json::test(&state.host.test_alert_channel(&name).await?)))
}
