//! Skipping the events that wait for a subscription.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, SubscriptionName};

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

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
    responses((status = 200, body = shapes::SkipResult))
)]
pub async fn skip(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(ok(&shapes::SkipResult { skipped: state.host.skip(&deployment, &name).await? }))
}
