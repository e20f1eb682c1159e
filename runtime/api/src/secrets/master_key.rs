//! The master key and its rotation.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;

use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows the master key's id, and the progress of its rotation
///
/// A host that is started with a new master key, together with the old one, wraps all data keys
/// again while it serves. When `rotation.state` is `done`, the old key is not needed.
#[utoipa::path(
    get, path = "/v1/master-key", tag = "secrets",
    responses((status = 200, body = shapes::MasterKey<'_>))
)]
pub async fn master_key(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    Ok(ok(&shapes::MasterKey::of(&state.host.master_key().await?)))
}
