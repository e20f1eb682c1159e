//! Pausing and resuming a subscription.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, SubscriptionName};

use super::json::with_waiting;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Pauses a subscription
///
/// The subscription makes no runs until it is resumed. Events wait in their topics as long as
/// events are kept; events that are removed during the pause count as `lost`. The deployment
/// continues, a new revision keeps the pause, and replays still run.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/pause", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    request_body(content = Option<shapes::PauseRequest>),
    responses((status = 200, body = shapes::Subscription<'_>))
)]
pub async fn pause(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let note = body.note()?;
    let subscription = state.host.pause_subscription(&deployment, &name, note).await?;
    Ok(ok(&shapes::Subscription::of(&with_waiting(&state.host, subscription).await?)))
}

/// Resumes a subscription
///
/// The subscription continues from its position, with all events that wait for it. Use `skip` to
/// skip them.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/resume", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    responses((status = 200, body = shapes::Subscription<'_>))
)]
pub async fn resume(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let subscription = state.host.resume_subscription(&deployment, &name).await?;
    Ok(ok(&shapes::Subscription::of(&with_waiting(&state.host, subscription).await?)))
}
