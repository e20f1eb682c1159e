//! Shows one entry with the entries that it is related to.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_store::records::{LedgerEntry, PageRequest};

use super::{Amounts, json};
use crate::problem::{ApiResult, Problem, quoted};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum number of answers that are shown.
const ANSWERS: usize = 100;

/// Shows an entry of the ledger with its evidence
///
/// With the entry that it answers, and the entries that answer it.
#[utoipa::path(
    get, path = "/v1/ledger/entries/{id}", tag = "ledger",
    params(("id" = String, Path, description = "the entry's id or sequence number")),
    responses((status = 200, body = shapes::LedgerEntryDetail<'_>))
)]
pub async fn show(
    State(state): State<ApiState>,
    PathParams(id): PathParams<String>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let entry = find(&state, &id).await?;
    let store = state.host.store();
    let answered = match &entry.of {
        Some(of) => store.ledger_entry_of(&entry.stream, of).await?,
        None => None,
    };
    let answers = store.ledger_answers(&entry.stream, &entry.external_id, PageRequest::first(ANSWERS)).await?;
    let amounts = Amounts::of(&state).await?;
    Ok(ok(&shapes::LedgerEntryDetail {
        entry: json::entry(&entry, &amounts),
        answered: answered.as_ref().map(|answered| json::entry(answered, &amounts)),
        answers: answers.items.iter().map(|answer| json::entry(answer, &amounts)).collect(),
    }))
}

/// Returns the entry with an id or a sequence number.
///
/// # Errors
/// `host/entry-not-found`.
pub async fn find(state: &ApiState, id: &str) -> ApiResult<LedgerEntry> {
    let store = state.host.store();
    let found = match id.parse::<u64>() {
        Ok(sequence) => store.ledger_entry_at(sequence).await?,
        Err(_) => store.ledger_entry(id).await?,
    };
    found.ok_or_else(|| Problem::new(Code::EntryNotFound, format!("the ledger has no entry `{}`", quoted(id))))
}
