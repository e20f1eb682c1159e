//! The inbox of parked runs.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::run::RunState;
use tidemill_core::wire::PageCursor;
use tidemill_store::records::ParkedFilter;

use crate::deployments::get::check_known;
use crate::list::page_request;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::runs::filter::codes;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists the runs that wait for an operator, and counts them by cause
///
/// Newest run first: parked runs, and cancelled runs whose compensation failed. Cancelling such a
/// run again removes it from the list. To retry parked runs, use `POST /v1/runs/actions` with
/// `{"action": "retry", "filter": {"state": "parked", …}}`.
#[utoipa::path(
    get, path = "/v1/parked", tag = "runs",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("code" = Option<Vec<String>>, Query, description = "with this code; may be repeated, or several with commas"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::ParkedPage))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "code", "limit", "cursor"])?;
    let filter = ParkedFilter { deployment: params.parsed::<DeploymentName>("deployment")?, codes: codes(&params)? };
    let scope = format!("parked {filter:?}");
    let request = page_request(&params, &scope)?;
    let store = state.host.store();
    let groups = match request.cursor {
        None => Some(store.parked_groups(filter.clone()).await?.into_iter().map(shapes::ParkedGroup::of).collect()),
        Some(_) => None,
    };
    let deployment = filter.deployment.clone();
    let page = store.parked(filter, request).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for parked in page.items {
        // A run may have left the parked state since it was listed.
        if let Some(run) = store.run(parked.run).await?
            && matches!(run.state, RunState::Parked(_) | RunState::Cancelled)
            && let Some(failure) = store.failure_of(&run).await?
        {
            items.push(shapes::ParkedRun::of((parked, &run, failure)));
        }
    }
    if items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    let next = page.next.map(|place| PageCursor::new(place).encode(&scope));
    Ok(ok(&shapes::ParkedPage { items, next, groups }))
}
