//! Lists incidents.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::healing::IncidentPhase;
use tidemill_store::records::IncidentFilter;

use super::json;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{RawQuery, bad};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists incidents, the latest first
///
/// A page may be shorter than `limit` although others follow.
#[utoipa::path(
    get, path = "/v1/incidents", tag = "incidents",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("state" = Option<String>, Query, description = "`open` (if left out), `ended` or `all`"),
        ("phase" = Option<String>, Query, description = "in this phase"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Incident<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "state", "phase", "limit", "cursor"])?;
    let phase = params.parsed::<IncidentPhase>("phase")?;
    let open = match params.text("state")? {
        // A phase alone decides whether an incident is open.
        None if phase.is_some() => None,
        None | Some("open") => Some(true),
        Some("ended") => Some(false),
        Some("all") => None,
        Some(other) => return Err(bad("state", other, "it is `open`, `ended` or `all`")),
    };
    let filter = IncidentFilter { deployment: params.parsed::<DeploymentName>("deployment")?, open, phase };
    let scope = format!("incidents {filter:?}");
    let page = state.host.incidents(filter, page_request(&params, &scope)?).await?;
    Ok(ok(&list_of(&page, &scope, json::incident)))
}
