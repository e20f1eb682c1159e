//! Deletes a silence.

use axum::extract::State;
use axum::http::StatusCode;
use tidemill_api_types as shapes;
use tidemill_core::SilenceId;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Deletes a silence
///
/// Alerts that it silenced and that still fire are announced.
#[utoipa::path(
    delete, path = "/v1/silences/{id}", tag = "alerts",
    params(("id" = String, Path, description = "the silence")),
    responses(
        (status = 204, description = "deleted"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such silence"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(id): PathParams<SilenceId>,
    query: RawQuery,
) -> ApiResult<StatusCode> {
    query.only(&[])?;
    state.host.delete_silence(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
