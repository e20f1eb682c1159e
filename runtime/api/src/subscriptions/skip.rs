//! Having a subscription leave out what waits for it.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::{DeploymentName, SubscriptionName};
use utoipa::ToSchema;

use crate::problem::Answer;
use crate::request::{At, Object, RawParams};
use crate::state::ApiState;
use crate::wire::ok;

/// What was left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Skipped)]
pub struct SkippedJson {
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
    responses((status = 200, body = SkippedJson))
)]
pub async fn skip(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, SubscriptionName)>,
    query: RawParams,
    body: Object,
) -> Answer<Response> {
    query.only(&[])?;
    body.nothing()?;
    Ok(ok(&SkippedJson { skipped: state.host.skip(&deployment, &name).await? }))
}
