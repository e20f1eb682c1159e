//! Having a subscription leave out what waits for it.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::{DeploymentName, SubscriptionName};
use utoipa::ToSchema;

use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// What was left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Skipped)]
pub struct SkipResultJson {
    /// How many events.
    skipped: u64,
}

/// Has a subscription leave out what waits for it
///
/// All of it, in every topic that it names: it goes on with what is published from now on. How many events that were is counted, and told
/// on the feed. They are still in their topics.
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
