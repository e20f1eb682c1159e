//! Shows one alert.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::AlertId;

use super::json;
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows an alert with the notifications about it
#[utoipa::path(
    get, path = "/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "the alert")),
    responses((status = 200, body = shapes::AlertDetail<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(id): PathParams<AlertId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (view, notifications) = state.host.alert(id).await?;
    let notifications = notifications.iter().map(json::notification).collect();
    Ok(ok(&shapes::AlertDetail { alert: json::alert(&view), notifications }))
}
