//! Deleting an unused component.

use axum::extract::State;
use axum::http::StatusCode;
use tidemill_api_types as shapes;
use tidemill_core::ComponentDigest;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Deletes a component and the versions that name it
#[utoipa::path(
    delete, path = "/v1/components/{digest}", tag = "components",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses(
        (status = 204, description = "removed"),
        (status = 409, body = shapes::ProblemDetails, description = "deployments use it; `users` names them"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(digest): PathParams<ComponentDigest>,
    query: RawQuery,
) -> ApiResult<StatusCode> {
    query.only(&[])?;
    state.host.delete_component(digest).await?;
    Ok(StatusCode::NO_CONTENT)
}
