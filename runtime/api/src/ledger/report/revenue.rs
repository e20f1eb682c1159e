//! Net revenue within a range of time, and by hours, days, weeks, months or years.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::{CalendarPeriod, CalendarUnit};
use tidemill_store::records::KindSum;

use super::conversion::{Conversion, clipped};
use super::query::{DefaultRange, PARAMS, ReportQuery};
use super::totals::ReportGroups;
use crate::ledger::{Amounts, check_known};
use crate::problem::ApiResult;
use crate::request::{QueryParams, RawQuery, bad};
use crate::state::ApiState;
use crate::wire::ok;

/// Sums net revenue within a time range
///
/// Without a stream, the report is about all streams. The sums come from buckets, which the ledger
/// writes in the commit of each entry.
#[utoipa::path(
    get, path = "/v1/ledger/revenue", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("period" = Option<String>, Query, description = "within this day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive; the beginning if left out"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); the end of this quarter of an hour if left out"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of periods; UTC if left out"),
        ("by" = Option<String>, Query, description = "`occurred` (if left out) or `posted`: the time by which entries count"),
        ("as_of" = Option<String>, Query, description = "count only entries up to this sequence number, or posted up to this time (RFC 3339)"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
        ("per" = Option<String>, Query, description = "also by `hour`, `day`, `week`, `month` or `year`; at most 1000 periods"),
        ("group" = Option<Vec<String>>, Query, description = "by `stream` or `kind`; may be repeated"),
        ("currency" = Option<String>, Query, description = "also converted into this currency at the rates of each day"),
    ),
    responses((status = 200, body = shapes::Revenue<'_>))
)]
pub async fn revenue(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&PARAMS[..], &["per", "group", "currency"]].concat())?;
    let query = ReportQuery::read(&state, &params, DefaultRange::All).await?;
    let groups_by = ReportGroups::read(&params)?;
    let per = unit(&params)?;
    let amounts = Amounts::of(&state).await?;
    let conversion = Conversion::read(&state, &params, &query, &amounts).await?;
    let whole = state.host.store().kind_sums(query.scope.clone(), vec![query.range.range()]).await?;
    if whole.ranges.iter().all(Vec::is_empty) {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    let periods = match per {
        Some(unit) => Some(by_period(&state, &query, unit, groups_by, conversion.as_ref(), &amounts).await?),
        None => None,
    };
    let totals = whole.ranges.iter().flat_map(|sums| groups_by.shapes(sums, &amounts)).collect();
    Ok(ok(&shapes::Revenue {
        basis: query.basis(whole.sequence),
        start: query.range.start.into(),
        end: query.range.end.into(),
        totals,
        converted: conversion.map(|conversion| conversion.whole(&amounts)),
        periods,
    }))
}

async fn by_period(
    state: &ApiState,
    query: &ReportQuery,
    unit: CalendarUnit,
    groups_by: ReportGroups,
    conversion: Option<&Conversion>,
    amounts: &Amounts,
) -> ApiResult<Vec<shapes::PeriodRevenue>> {
    let periods = clipped(unit, query)?;
    let ranges = periods.iter().map(|period| period.start..period.end).collect();
    let sums = state.host.store().kind_sums(query.scope.clone(), ranges).await?;
    let shape = |(period, sums): (CalendarPeriod, Vec<KindSum>)| shapes::PeriodRevenue {
        totals: groups_by.shapes(&sums, amounts),
        converted: conversion.map(|conversion| conversion.period(&period, &sums, amounts)),
        range: shapes::ReportRange { period: Some(period.name), start: period.start.into(), end: period.end.into() },
    };
    Ok(periods.into_iter().zip(sums.ranges).map(shape).collect())
}

fn unit(params: &QueryParams) -> ApiResult<Option<CalendarUnit>> {
    let unit = params.text("per")?.map(|text| {
        CalendarUnit::parse(text).ok_or_else(|| bad("per", text, "it is `hour`, `day`, `week`, `month` or `year`"))
    });
    unit.transpose()
}
