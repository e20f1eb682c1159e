//! A run's inbox: lists the pending signals, and drops one that the run cannot parse.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::RunId;
use tidemill_store::records::InboxSignal;
use utoipa::ToSchema;

use crate::list::{List, page_request};
use crate::problem::{ApiResult, ProblemBody};
use crate::request::{InboxIndex, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{StoredJson, TimeJson, ok, stored_json};

/// A signal that waits in a run's inbox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InboxSignal)]
pub struct InboxJson<'a> {
    /// The permanent index of the signal in the inbox; a run's first signal has 0.
    place: u64,
    /// The name of the signal.
    name: &'a str,
    /// When the signal arrived.
    at: TimeJson,
    /// The payload of the signal.
    #[schema(value_type = serde_json::Value)]
    payload: StoredJson<'a>,
}

impl<'a> InboxJson<'a> {
    fn of(signal: &'a InboxSignal) -> Self {
        Self { place: signal.place, name: &signal.name, at: signal.at.into(), payload: stored_json(&signal.payload) }
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
    responses((status = 200, body = List<InboxJson<'_>>))
)]
pub async fn list(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let scope = format!("inbox {id}");
    let page = state.host.inbox(id, page_request(&params, &scope)?).await?;
    Ok(ok(&List::of(&page, &scope, InboxJson::of)))
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
        (status = 404, body = ProblemBody, description = "there is no such run, or no signal waits at that index"),
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
