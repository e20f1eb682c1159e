//! The inbox.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::DeploymentName;
use tidemill_core::run::RunState;
use tidemill_core::wire::PageCursor;
use tidemill_store::records::ParkedFilter;

use super::json::{ParkedGroupJson, ParkedJson, ParkedPage};
use crate::deployments::get::check_known;
use crate::list::page_request;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::runs::filter::codes;
use crate::state::ApiState;
use crate::wire::ok;

/// Shows the runs that wait for a person, and counts them by cause
///
/// The newest run first: parked runs, and cancelled ones that could not undo what they did. Those leave the list when they are
/// cancelled once more. To try parked ones again: `POST /v1/runs/actions` with `{"action": "retry", "filter": {"state": "parked", …}}`.
#[utoipa::path(
    get, path = "/v1/parked", tag = "runs",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("code" = Option<Vec<String>>, Query, description = "with this code; may be repeated, or several with commas"),
        ("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = ParkedPage))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "code", "limit", "cursor"])?;
    let filter = ParkedFilter { deployment: params.parsed::<DeploymentName>("deployment")?, codes: codes(&params)? };
    let scope = format!("parked {filter:?}");
    let request = page_request(&params, &scope)?;
    let store = state.host.store();
    let groups = match request.cursor {
        None => Some(store.parked_groups(filter.clone()).await?.into_iter().map(ParkedGroupJson::from).collect()),
        Some(_) => None,
    };
    let deployment = filter.deployment.clone();
    let page = store.parked(filter, request).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for parked in page.items {
        // One that was taken up meanwhile is parked no more.
        if let Some(run) = store.run(parked.run).await?
            && matches!(run.state, RunState::Parked(_) | RunState::Cancelled)
            && let Some(failure) = store.failure_of(&run).await?
        {
            items.push(ParkedJson::of(parked, &run, failure));
        }
    }
    if items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    let next = page.next.map(|place| PageCursor::new(place).encode(&scope));
    Ok(ok(&ParkedPage { items, next, groups }))
}
