//! The host's metrics in the text format of Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tidemill_core::Code;

use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;

/// Returns the host's metrics
///
/// The OpenMetrics text format, which Prometheus reads. Guests' own metrics are included, with
/// their deployment as a label.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let text = state
        .host
        .metrics_text()
        .await
        .map_err(|why| Problem::new(Code::Internal, "the metrics could not be written").log(why))?;
    let mut response = (StatusCode::OK, text).into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
