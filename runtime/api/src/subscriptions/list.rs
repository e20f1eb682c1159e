//! Lists subscriptions.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::wire::PageCursor;

use super::json::with_waiting;
use crate::deployments::get::check_known;
use crate::list::page_request;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists subscriptions, by deployment and name
#[utoipa::path(
    get, path = "/v1/subscriptions", tag = "subscriptions",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Subscription<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "limit", "cursor"])?;
    let deployment = params.parsed::<DeploymentName>("deployment")?;
    let scope = format!("subscriptions {deployment:?}");
    let page = state.host.store().subscriptions(deployment.as_ref(), page_request(&params, &scope)?).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for subscription in page.items {
        items.push(with_waiting(&state.host, subscription).await?);
    }
    if items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    let items = items.iter().map(shapes::Subscription::of).collect();
    Ok(ok(&shapes::List { items, next: page.next.map(|place| PageCursor::new(place).encode(&scope)) }))
}
