//! The signals that wait for a run: seeing them, and dropping one that it cannot read.

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

/// A signal that waits for a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InboxSignal)]
pub struct InboxJson<'a> {
    /// Its place in the inbox, which it keeps: the first signal of a run has 0.
    place: u64,
    /// Its name.
    name: &'a str,
    /// When it came.
    at: TimeJson,
    /// Its payload.
    #[schema(value_type = serde_json::Value)]
    payload: StoredJson<'a>,
}

impl<'a> InboxJson<'a> {
    fn of(signal: &'a InboxSignal) -> Self {
        Self { place: signal.place, name: &signal.name, at: signal.at.into(), payload: stored_json(&signal.payload) }
    }
}

/// Lists the signals that wait for a run
///
/// In the order of arrival. The run takes the first of a name when it asks for one of that name.
#[utoipa::path(
    get, path = "/v1/runs/{id}/inbox", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
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

/// Drops a signal that waits for a run
///
/// As if it had never come: for one that the run cannot read. Its `Idempotency-Key` stays used.
#[utoipa::path(
    delete, path = "/v1/runs/{id}/inbox/{place}", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("place" = u64, Path, description = "the signal's place in the inbox"),
    ),
    responses(
        (status = 204, description = "it is dropped"),
        (status = 404, body = ProblemBody, description = "there is no such run, or no signal waits at that place"),
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
