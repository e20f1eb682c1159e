//! Deleting a secret.

use axum::extract::State;
use axum::http::StatusCode;
use tidemill_api_types as shapes;
use tidemill_core::ids::SecretName;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Deletes a secret with all its versions
///
/// A secret of the same name in the environment or in a file of the host takes its place.
#[utoipa::path(
    delete, path = "/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "the secret")),
    responses(
        (status = 204, description = "deleted"),
        (status = 404, body = shapes::ProblemDetails, description = "the store has no such secret"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(name): PathParams<SecretName>,
    query: RawQuery,
) -> ApiResult<StatusCode> {
    query.only(&[])?;
    state.host.delete_secret(name).await?;
    Ok(StatusCode::NO_CONTENT)
}
