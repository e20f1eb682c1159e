//! Shows one subscription.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::{DeploymentName, SubscriptionName};

use super::json::with_waiting;
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a subscription
#[utoipa::path(
    get, path = "/v1/subscriptions/{deployment}/{name}", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
    ),
    responses((status = 200, body = shapes::Subscription<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let found = state.host.store().subscription(&deployment, &name).await?;
    let subscription = found.ok_or_else(|| ControlError::no_subscription(&deployment, &name))?;
    Ok(ok(&shapes::Subscription::of(&with_waiting(&state.host, subscription).await?)))
}
