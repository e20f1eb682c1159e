//! The fuel of the runs of streams, and net revenue per million fuel.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::{BucketLevel, Ratio};
use tidemill_store::records::{FuelSum, FuelTotal, KindSum};

use super::query::{DefaultRange, PARAMS, ReportQuery, ReportRange};
use crate::ledger::{Amounts, check_known};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Sums the fuel of the runs of streams, and relates net revenue to it
///
/// A run counts when it ends, with the fuel of all its attempts. Runs of deployments without the
/// grant `ledger` do not count. The range is widened to whole quarters of an hour.
#[utoipa::path(
    get, path = "/v1/ledger/fuel", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("period" = Option<String>, Query, description = "within this day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive; the beginning if left out"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); the end of this quarter of an hour if left out"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of the period; UTC if left out"),
        ("by" = Option<String>, Query, description = "`occurred` (if left out) or `posted`: the time by which entries count"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
    ),
    responses((status = 200, body = shapes::FuelReport<'_>))
)]
pub async fn fuel(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let names: Vec<_> = PARAMS.into_iter().filter(|name| *name != "as_of").collect();
    let params = query.only(&names)?;
    let query = ReportQuery::read(&state, &params, DefaultRange::All)?;
    let range = BucketLevel::Quarter.widen(&query.range.range());
    let store = state.host.store();
    let fuel = store.fuel_totals(query.scope.stream.as_ref(), range.clone()).await?;
    let sums = store.kind_sums(query.scope.clone(), vec![vec![range.clone()]]).await?;
    let mut streams = BTreeMap::new();
    for FuelTotal { stream, sum, .. } in fuel.into_iter().filter(|total| total.paper == query.scope.paper) {
        streams.insert(stream.to_string(), (sum, BTreeMap::new()));
    }
    for KindSum { stream, currency, sum, .. } in sums.series.iter().flatten().flatten() {
        let (_, revenue) = streams.entry(stream.to_string()).or_default();
        let total: &mut i128 = revenue.entry(currency.clone()).or_default();
        *total = total.saturating_add(sum.net_revenue);
    }
    if streams.is_empty() {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    let shown = ReportRange { start: range.start, end: range.end, ..query.range.clone() };
    Ok(ok(&shapes::FuelReport {
        basis: query.basis(sums.sequence),
        range: shown.shape(),
        streams: streams.into_iter().map(|stream| shape(stream, &amounts)).collect(),
    }))
}

fn shape(
    (stream, (sum, revenue)): (String, (FuelSum, BTreeMap<String, i128>)),
    amounts: &Amounts,
) -> shapes::StreamFuel {
    let line = |(currency, minor_units): (String, i128)| {
        let net_revenue = amounts.amount(minor_units, &currency);
        let per_million = Ratio::per_million(minor_units, net_revenue.exponent, sum.fuel);
        shapes::FuelRevenue { net_revenue, per_million_fuel: per_million.map(|ratio| ratio.to_string()) }
    };
    shapes::StreamFuel {
        stream,
        runs: sum.runs,
        fuel: u64::try_from(sum.fuel).unwrap_or(u64::MAX),
        revenue: revenue.into_iter().map(line).collect(),
    }
}
