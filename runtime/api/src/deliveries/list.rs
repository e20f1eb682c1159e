//! Lists deliveries.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use super::filter;
use crate::deployments::get::check_known;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists deliveries, newest first
///
/// Headers, bodies and the list of runs are left out. A page may hold fewer than `limit` deliveries
/// and still have a `next`.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries",
    params(
        ("deployment" = Option<String>, Query, description = "to this deployment"),
        ("hook" = Option<String>, Query, description = "to hooks of this name"),
        ("outcome" = Option<Vec<String>>, Query, description = "with this outcome; may be repeated, or several with commas"),
        ("key" = Option<String>, Query, description = "with this id of the provider"),
        ("object" = Option<String>, Query, description = "about this object"),
        ("since" = Option<String>, Query, description = "received at or after this time (RFC 3339)"),
        ("until" = Option<String>, Query, description = "received before this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Delivery<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&filter::NAMES[..], &["limit", "cursor"]].concat())?;
    let filter = filter::of_query(&params)?;
    let scope = format!("deliveries {filter:?}");
    let deployment = filter.deployment.clone();
    let page = state.host.store().deliveries(filter, page_request(&params, &scope)?).await?;
    if page.items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    Ok(ok(&list_of(&page, &scope, shapes::Delivery::of)))
}
