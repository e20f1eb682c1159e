//! Closing periods, and listing closed ones.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_core::money::report::PeriodName;
use tidemill_core::zones::Zone;
use tidemill_store::StoreError;
use tidemill_store::records::ClosedPeriod;

use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists closed periods, the latest first
#[utoipa::path(
    get, path = "/v1/ledger/periods", tag = "ledger",
    params(
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::ClosedPeriod<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["limit", "cursor"])?;
    let page = state.host.store().closed_periods(page_request(&params, "periods")?).await?;
    Ok(ok(&list_of(&page, "periods", shapes::ClosedPeriod::of)))
}

/// Closes a period, so that its statement does not change any more
///
/// Everything before its end is closed with it. An entry that is posted later with a time before
/// the end is late: reports count it when it is posted, and a statement shows it separately.
/// Closing a period again changes nothing. A closed period cannot be opened.
#[utoipa::path(
    post, path = "/v1/ledger/periods/{period}/close", tag = "ledger",
    params(
        ("period" = String, Path, description = "a day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of the period; UTC if left out"),
    ),
    responses(
        (status = 200, body = shapes::ClosedPeriod<'_>),
        (status = 409, body = shapes::ProblemDetails, description = "the period has not ended, or a later one is closed"),
    )
)]
pub async fn close(
    State(state): State<ApiState>,
    PathParams(name): PathParams<PeriodName>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    let params = query.only(&["time_zone"])?;
    body.nothing()?;
    let zone = params.parsed::<Zone>("time_zone")?.unwrap_or_else(Zone::utc);
    let range = name
        .in_zone(&zone)
        .ok_or_else(|| Problem::new(Code::BadQuery, format!("the zone {} skips the whole of {name}", zone.name())))?;
    let now = state.host.clock().now();
    let record = ClosedPeriod {
        name: range.name,
        time_zone: zone.name().to_owned(),
        start: range.start,
        end: range.end,
        closed_at: now,
        sequence: 0,
    };
    let store = state.host.store();
    match store.close_period(record, now).await {
        Ok(closed) => Ok(ok(&shapes::ClosedPeriod::of(&closed))),
        Err(StoreError::IllegalTransition(_)) => {
            let until = store.closed_until().await?;
            let detail = if range.end > now {
                format!("{name} ends at {}, which is in the future", range.end)
            } else {
                format!("everything before {until} is closed already, and {name} ends at {}", range.end)
            };
            Err(Problem::new(Code::PeriodConflict, detail))
        }
        Err(other) => Err(other.into()),
    }
}
