//! Lists the versions of all modules.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists the versions of all modules, by module and version
#[utoipa::path(
    get, path = "/v1/modules", tag = "modules",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::ModuleVersion<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().modules(page_request(&params, "modules")?).await?;
    Ok(ok(&list_of(&page, "modules", shapes::ModuleVersion::of)))
}
