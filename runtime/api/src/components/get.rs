//! Shows one component.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{Code, ComponentDigest};
use tidemill_store::records::Component;

use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a component
#[utoipa::path(
    get, path = "/v1/components/{digest}", tag = "components",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses((status = 200, body = shapes::Component<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(digest): PathParams<ComponentDigest>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let component = find(&state, &digest).await?;
    Ok(ok(&shapes::Component::of(&component)))
}

/// Returns the component of that digest.
///
/// # Errors
/// [`Code::ComponentNotFound`].
pub async fn find(state: &ApiState, digest: &ComponentDigest) -> ApiResult<Component> {
    let component = state.host.store().component(digest).await?;
    component.ok_or_else(|| Problem::new(Code::ComponentNotFound, format!("there is no component {digest}")))
}
