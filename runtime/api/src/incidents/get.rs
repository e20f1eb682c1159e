//! Shows an incident.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use super::json;
use crate::problem::ApiResult;
use crate::request::{IncidentNumber, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows an incident with its timeline
#[utoipa::path(
    get, path = "/v1/incidents/{number}", tag = "incidents",
    params(("number" = u64, Path, description = "the incident's number")),
    responses((status = 200, body = shapes::IncidentDetails<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(IncidentNumber(number)): PathParams<IncidentNumber>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&json::details(&state.host.incident(number).await?)))
}
