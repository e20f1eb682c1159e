//! Lists silences.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use super::json;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists the silences that have not ended, the oldest first
#[utoipa::path(
    get, path = "/v1/silences", tag = "alerts",
    responses((status = 200, body = shapes::List<shapes::Silence<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let silences = state.host.silences().await?;
    Ok(ok(&shapes::List { items: silences.iter().map(json::silence).collect(), next: None }))
}
