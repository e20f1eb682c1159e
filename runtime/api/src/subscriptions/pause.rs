//! Having a subscription given nothing, and go on again.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{DeploymentName, SubscriptionName};

use super::json::{SubscriptionJson, with_waiting};
use crate::deployments::pause::PauseRequest;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Pauses a subscription
///
/// Nothing makes a run for it until it is resumed. Events wait for it in their topics, for as long as events are kept: what is forgotten
/// meanwhile is counted as `lost`. Its deployment goes on, a new revision keeps the pause, and replays are carried out.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/pause", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    request_body(content = Option<PauseRequest>),
    responses((status = 200, body = SubscriptionJson<'_>))
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
    Ok(ok(&SubscriptionJson::of(&with_waiting(&state.host, subscription).await?)))
}

/// Resumes a subscription
///
/// It goes on where it stands, with all that waits for it; `skip` has it leave that out.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/resume", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    responses((status = 200, body = SubscriptionJson<'_>))
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
    Ok(ok(&SubscriptionJson::of(&with_waiting(&state.host, subscription).await?)))
}
