//! The revenue of a stream within a time range.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::LedgerStream;
use tidemill_core::{Code, Timestamp};

use super::check_known;
use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Sums a stream's revenue within a time range
#[utoipa::path(
    get, path = "/v1/ledger/revenue", tag = "ledger",
    params(
        ("stream" = String, Query, description = "the stream"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive; the beginning if left out"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); now if left out"),
    ),
    responses((status = 200, body = shapes::Revenue<'_>))
)]
pub async fn revenue(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["stream", "start", "end"])?;
    let stream = params
        .parsed::<LedgerStream>("stream")?
        .ok_or_else(|| Problem::new(Code::BadQuery, "`stream` is missing").fix("Name the stream: `?stream=NAME`."))?;
    let start = params.time("start")?.unwrap_or_default();
    let end = params.time("end")?.unwrap_or_else(|| after(state.host.clock().now()));
    if start > end {
        return Err(Problem::new(Code::BadQuery, format!("`start` {start} is after `end` {end}")));
    }
    let totals = state.host.store().revenue(&stream, start, end).await?;
    if totals.is_empty() {
        check_known(&state, Some(&stream)).await?;
    }
    let totals = totals.iter().map(shapes::Total::of).collect();
    Ok(ok(&shapes::Revenue { stream: stream.as_str().into(), start: start.into(), end: end.into(), totals }))
}

/// The end of the range that means "until now". It includes what happened in this very millisecond.
const fn after(now: Timestamp) -> Timestamp {
    now.plus_millis(1)
}
