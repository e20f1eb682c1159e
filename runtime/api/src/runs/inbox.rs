//! A run's inbox: lists the pending signals, and drops one that the run cannot parse.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::RunId;
use tidemill_store::records::InboxSignal;

use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{InboxIndex, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord, ok};

impl<'a> FromRecord<&'a InboxSignal> for shapes::InboxSignal<'a> {
    fn of(signal: &'a InboxSignal) -> Self {
        Self {
            place: signal.place,
            name: (&signal.name).into(),
            at: signal.at.into(),
            payload: shapes::StoredJson::of(&signal.payload),
        }
    }
}

/// Lists a run's pending signals
///
/// Sorted by arrival. The run receives the first signal of the name that it waits for.
#[utoipa::path(
    get, path = "/v1/runs/{id}/inbox", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::InboxSignal<'_>>))
)]
pub async fn list(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let scope = format!("inbox {id}");
    let page = state.host.inbox(id, page_request(&params, &scope)?).await?;
    Ok(ok(&list_of(&page, &scope, shapes::InboxSignal::of)))
}

/// Drops a pending signal of a run
///
/// Removes a signal that the run cannot parse, as if it had never arrived. Its `Idempotency-Key`
/// remains used.
#[utoipa::path(
    delete, path = "/v1/runs/{id}/inbox/{place}", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("place" = u64, Path, description = "the signal's index in the inbox"),
    ),
    responses(
        (status = 204, description = "the signal was dropped"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such run, or no signal waits at that index"),
    )
)]
pub async fn drop_one(
    State(state): State<ApiState>,
    PathParams((id, place)): PathParams<(RunId, InboxIndex)>,
    query: RawQuery,
) -> ApiResult<StatusCode> {
    query.only(&[])?;
    state.host.drop_signal(id, place.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
