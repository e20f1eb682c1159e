//! Shows one module.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{Code, ModuleName};

use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a module with all its versions
#[utoipa::path(
    get, path = "/v1/modules/{name}", tag = "modules",
    params(("name" = String, Path, description = "the module")),
    responses((status = 200, body = shapes::Module<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(name): PathParams<ModuleName>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let versions = state.host.store().versions(&name).await?;
    if versions.is_empty() {
        return Err(Problem::new(Code::ModuleNotFound, format!("there is no module `{name}`")));
    }
    let versions = versions.iter().map(shapes::ModuleVersion::of).collect();
    Ok(ok(&shapes::Module { name: name.as_str().into(), versions }))
}
