//! The growth of net revenue from one range of time to the next.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::Ratio;
use tidemill_core::zones::Zone;
use tidemill_core::{Code, Timestamp};

use super::query::{DefaultRange, PARAMS, ReportQuery, ReportRange};
use super::totals::ReportGroups;
use crate::ledger::{Amounts, check_known};
use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Compares net revenue with that of the range before
///
/// A period is compared with the period before it, any other range with the one of the same length
/// before it. Growth is (now − before) / |before|.
#[utoipa::path(
    get, path = "/v1/ledger/growth", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("period" = Option<String>, Query, description = "this day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`; the current month if left out"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); the end of this quarter of an hour if left out"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of the period; UTC if left out"),
        ("by" = Option<String>, Query, description = "`occurred` (if left out) or `posted`: the time by which entries count"),
        ("as_of" = Option<String>, Query, description = "count only entries up to this sequence number, or posted up to this time (RFC 3339)"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
        ("group" = Option<Vec<String>>, Query, description = "by `stream` or `kind`; may be repeated"),
    ),
    responses((status = 200, body = shapes::Growth<'_>))
)]
pub async fn growth(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&PARAMS[..], &["group"]].concat())?;
    let query = ReportQuery::read(&state, &params, DefaultRange::Month)?;
    let groups_by = ReportGroups::read(&params)?;
    let before = range_before(&query.range, &query.zone)?;
    let ranges = vec![before.range(), query.range.range()];
    let sums = state.host.store().kind_sums(query.scope.clone(), vec![ranges]).await?;
    let amounts = Amounts::of(&state).await?;
    let totals: Vec<_> = sums.series.iter().flatten().map(|sums| groups_by.totals(sums)).collect();
    let groups: BTreeSet<_> = totals.iter().flat_map(|totals| totals.keys()).collect();
    if groups.is_empty() {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    let line = |group| {
        let revenue = |at: usize| totals.get(at).and_then(|totals| totals.get(group)).map_or(0, |sum| sum.net_revenue);
        let (earlier, now) = (revenue(0), revenue(1));
        shapes::GrowthLine {
            stream: group.stream.clone(),
            kind: group.kind.clone(),
            now: amounts.amount(now, &group.currency),
            before: amounts.amount(earlier, &group.currency),
            growth: Ratio::growth(earlier, now).map(|ratio| ratio.to_string()),
        }
    };
    Ok(ok(&shapes::Growth {
        basis: query.basis(sums.sequence),
        now: query.range.shape(),
        before: before.shape(),
        lines: groups.into_iter().map(line).collect(),
    }))
}

/// Returns the range before another: the previous period, or as long a time.
fn range_before(range: &ReportRange, zone: &Zone) -> ApiResult<ReportRange> {
    if let Some(before) = range.period.and_then(|period| period.previous()) {
        // A zone that skipped the whole of the previous period has nothing in it.
        let found = before.in_zone(zone).map_or(range.start..range.start, |period| period.start..period.end);
        return Ok(ReportRange { period: Some(before), start: found.start, end: found.end });
    }
    let length = range.end.millis_since(range.start);
    let start = range.start.as_millis().checked_sub(length).ok_or_else(|| {
        Problem::new(Code::BadQuery, "there is no range of the same length before this one")
            .fix("Give a period such as `2026-10`, or a start.")
    })?;
    Ok(ReportRange { period: None, start: Timestamp::from_millis(start), end: range.start })
}
