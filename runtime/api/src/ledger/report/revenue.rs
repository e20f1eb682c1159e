//! Net revenue within a range of time, and by hours, days, weeks, months or years.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::{CalendarPeriod, CalendarUnit};
use tidemill_store::records::{KindSum, ReportSums};

use super::conversion::{ConversionDays, clipped, ranges_of};
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
    let query = ReportQuery::read(&state, &params, DefaultRange::All)?;
    let groups_by = ReportGroups::read(&params)?;
    let per = unit(&params)?.map(|unit| clipped(unit, &query)).transpose()?;
    let days = ConversionDays::read(&state, &params, &query).await?;
    // The whole range, its periods, and its days, of one moment.
    let periods = per.as_deref().map(ranges_of).unwrap_or_default();
    let series =
        vec![vec![query.range.range()], periods, days.as_ref().map(ConversionDays::ranges).unwrap_or_default()];
    let ReportSums { series, sequence, .. } = state.host.store().kind_sums(query.scope.clone(), series).await?;
    let [whole, by_period, by_day] = <[_; 3]>::try_from(series).unwrap_or_default();
    if whole.iter().all(Vec::is_empty) {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    let conversion = match days {
        Some(days) => Some(days.with_sums(&state, by_day).await?),
        None => None,
    };
    let totals = whole.iter().flat_map(|sums| groups_by.shapes(sums, &amounts)).collect();
    let period = |(period, sums): (CalendarPeriod, Vec<KindSum>)| shapes::PeriodRevenue {
        totals: groups_by.shapes(&sums, &amounts),
        converted: conversion.as_ref().map(|conversion| conversion.period(&period, &sums, &amounts)),
        range: shapes::ReportRange { period: Some(period.name), start: period.start.into(), end: period.end.into() },
    };
    let periods = per.map(|per| per.into_iter().zip(by_period).map(period).collect());
    Ok(ok(&shapes::Revenue {
        basis: query.basis(sequence),
        start: query.range.start.into(),
        end: query.range.end.into(),
        totals,
        converted: conversion.as_ref().map(|conversion| conversion.whole(&amounts)),
        periods,
    }))
}

fn unit(params: &QueryParams) -> ApiResult<Option<CalendarUnit>> {
    let unit = params.text("per")?.map(|text| {
        CalendarUnit::parse(text).ok_or_else(|| bad("per", text, "it is `hour`, `day`, `week`, `month` or `year`"))
    });
    unit.transpose()
}
