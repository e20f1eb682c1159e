//! Shows one delivery, and its body.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::DeliveryId;
use tidemill_core::delivery::ENTRIES_SHOWN;

use super::json::whole;
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a delivery
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "the delivery")),
    responses((status = 200, body = shapes::Delivery<'_>, description = "with its headers, its runs, and the entries that they posted"))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(id): PathParams<DeliveryId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let store = state.host.store();
    let record = store.delivery(id).await?.ok_or_else(|| ControlError::no_delivery(id))?;
    let runs = store.delivery_runs(id).await?;
    let entries = store.delivery_entries(id, ENTRIES_SHOWN).await?;
    Ok(ok(&whole(&record, runs, entries)))
}

/// Downloads the body of a delivery
///
/// As the provider sent it; decoded if it came with a `Content-Encoding`.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}/body", tag = "deliveries",
    params(("id" = String, Path, description = "the delivery")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub async fn body(
    State(state): State<ApiState>,
    PathParams(id): PathParams<DeliveryId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let body = state.host.delivery_body(id).await?;
    let mut response = (StatusCode::OK, body).into_response();
    // A browser stores it and does not show it: its content comes from outside.
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}
