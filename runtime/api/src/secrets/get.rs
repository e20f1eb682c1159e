//! One secret, without its value.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::ids::SecretName;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a secret, without its value
#[utoipa::path(
    get, path = "/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "the secret")),
    responses(
        (status = 200, body = shapes::Secret<'_>),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such secret"),
    )
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(name): PathParams<SecretName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&shapes::Secret::of(&state.host.secret(&name)?)))
}
