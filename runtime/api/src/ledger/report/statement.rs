//! A statement of account: what each account held at the start of a range, what moved, and what it
//! held at the end.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::EntryKind;
use tidemill_core::money::report::{AccountLine, KindMovement, account_lines};
use tidemill_core::{Code, Timestamp};
use tidemill_store::records::{Bucket, KindSum};

use super::conversion::ConversionDays;
use super::query::{DefaultRange, PARAMS, ReportQuery};
use crate::ledger::{Amounts, check_known};
use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a statement of account
///
/// Each currency has its accounts with their balances at the start and at the end, and what moved
/// them, by kind. An entry that was posted after its period was closed is under `late` in the
/// period in which it was posted.
#[utoipa::path(
    get, path = "/v1/ledger/statement", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("period" = Option<String>, Query, description = "of this day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`; the current month if left out"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); the end of this quarter of an hour if left out"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of the period; UTC if left out"),
        ("by" = Option<String>, Query, description = "`occurred` (if left out) or `posted`: the time by which entries count"),
        ("as_of" = Option<String>, Query, description = "count only entries up to this sequence number, or posted up to this time (RFC 3339)"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
        ("currency" = Option<String>, Query, description = "also net revenue converted into this currency at the rates of each day"),
    ),
    responses((status = 200, body = shapes::Statement<'_>))
)]
pub async fn statement(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&PARAMS[..], &["currency"]].concat())?;
    let query = ReportQuery::read(&state, &params, DefaultRange::Month)?;
    let days = ConversionDays::read(&state, &params, &query).await?;
    // What was before, the range, and its days, of one moment.
    let ranges = vec![Timestamp::default()..query.range.start, query.range.range()];
    let series = vec![ranges, days.as_ref().map(ConversionDays::ranges).unwrap_or_default()];
    let sums = state.host.store().kind_sums(query.scope.clone(), series).await?;
    let [ranges, by_day] = <[_; 2]>::try_from(sums.series).unwrap_or_default();
    let [before, within] = ranges.as_slice() else {
        return Err(Problem::new(Code::Internal, "a range has no sums"));
    };
    if before.is_empty() && within.is_empty() {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    let conversion = match days {
        Some(days) => Some(days.with_sums(&state, by_day).await?),
        None => None,
    };
    Ok(ok(&shapes::Statement {
        basis: query.basis(sums.sequence),
        range: query.range.shape(),
        closed: query.range.end <= sums.closed_until,
        currencies: currencies(before, within, &amounts),
        converted: conversion.map(|conversion| conversion.whole(&amounts)),
    }))
}

fn currencies(before: &[KindSum], within: &[KindSum], amounts: &Amounts) -> Vec<shapes::StatementCurrency> {
    let mut found: BTreeMap<&str, [Vec<&KindSum>; 2]> = BTreeMap::new();
    for (place, sums) in [before, within].into_iter().enumerate() {
        for sum in sums {
            if let Some(part) = found.entry(&sum.currency).or_default().get_mut(place) {
                part.push(sum);
            }
        }
    }
    let one = |(currency, [before, within]): (&str, [Vec<&KindSum>; 2])| {
        let lines = account_lines(&movements(&before), &movements(&within));
        let net_revenue = within.iter().fold(0i128, |total, sum| total.saturating_add(sum.sum.net_revenue));
        shapes::StatementCurrency {
            currency: currency.to_owned(),
            accounts: lines.iter().map(|line| account(line, currency, amounts)).collect(),
            movements: kinds(within.iter().filter(|sum| !sum.late), currency, amounts),
            late: kinds(within.iter().filter(|sum| sum.late), currency, amounts),
            net_revenue: amounts.amount(net_revenue, currency),
        }
    };
    found.into_iter().map(one).collect()
}

/// Returns what the entries moved between accounts. A kind of a later release has no accounts here.
fn movements(sums: &[&KindSum]) -> Vec<KindMovement> {
    let movement = |sum: &&KindSum| {
        let kind = EntryKind::parse(&sum.kind)?;
        Some(KindMovement { kind, posted: sum.sum.posted, pending: sum.sum.pending })
    };
    sums.iter().filter_map(movement).collect()
}

fn account(line: &AccountLine, currency: &str, amounts: &Amounts) -> shapes::StatementAccount {
    shapes::StatementAccount {
        account: line.account.as_str().to_owned(),
        account_type: line.account.account_type().as_str().to_owned(),
        opening: amounts.amount(line.opening, currency),
        closing: amounts.amount(line.closing, currency),
        pending: amounts.amount(line.pending, currency),
    }
}

/// Adds up streams, and returns a line for each kind with posted entries.
fn kinds<'a>(
    sums: impl Iterator<Item = &'a &'a KindSum>,
    currency: &str,
    amounts: &Amounts,
) -> Vec<shapes::StatementLine> {
    let mut kinds: BTreeMap<&str, Bucket> = BTreeMap::new();
    for sum in sums.filter(|sum| sum.sum.entries > 0) {
        kinds.entry(&sum.kind).or_default().add(&sum.sum);
    }
    let line = |(kind, sum): (&str, Bucket)| shapes::StatementLine {
        kind: kind.to_owned(),
        entries: sum.entries,
        posted: amounts.amount(sum.posted, currency),
        net_revenue: amounts.amount(sum.net_revenue, currency),
    };
    kinds.into_iter().map(line).collect()
}
