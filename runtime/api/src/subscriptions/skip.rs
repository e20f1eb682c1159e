//! Skipping the events that wait for a subscription.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::{DeploymentName, SubscriptionName};
use utoipa::ToSchema;

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// The result of a skip.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Skipped)]
pub struct SkipResultJson {
    /// Number of events.
    skipped: u64,
}

/// Skips the events that wait for a subscription
///
/// Skips all of them, in every topic that the subscription matches. It continues with events that
/// are published from now on. The record counts the skipped events, and the event feed announces
/// them. They remain in their topics.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/skip", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    responses((status = 200, body = SkipResultJson))
)]
pub async fn skip(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(ok(&SkipResultJson { skipped: state.host.skip(&deployment, &name).await? }))
}
