//! Claims about reports: sums of ranges, customers, and closed periods.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tidemill_core::money::EntryKind;
use tidemill_core::{Fuel, Timestamp};
use tidemill_store::Store;
use tidemill_store::StoreError;
use tidemill_store::records::{
    AsOf, Bucket, BucketAxis, ClosedPeriod, CustomerQuery, CustomerSum, KindSum, LedgerEntry, NewEntry, PageRequest,
    RateRecord, ReportScope,
};

use super::{by_host, legs, stream, with_content};
use crate::fixture::{NOON, claimed_run, deploy, done, owner, success};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

fn scope(of: Option<&str>) -> ReportScope {
    ReportScope { stream: of.map(stream), paper: false, axis: BucketAxis::Occurred, as_of: None }
}

fn before(at: u64) -> Timestamp {
    Timestamp::from_millis(NOON.as_millis() - at)
}

/// An entry of a kind at a time.
fn entry(of: &str, id: &str, kind: EntryKind, cents: i64, occurred_at: Timestamp) -> NewEntry {
    let legs = legs(kind, cents);
    let net_revenue = if kind == EntryKind::Refund { -cents } else { cents };
    with_content(NewEntry { kind: kind.as_str().into(), legs, net_revenue, occurred_at, ..by_host(of, id, cents) })
}

/// Appends entries of two streams and of one on paper within 100 days, in several commits.
async fn fill(store: &Arc<dyn Store>) {
    let mut number = 0u64;
    for commit in 0..20 {
        let mut entries = Vec::new();
        for _ in 0..25 {
            number += 1;
            // Numbers without a pattern.
            let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let kind = if dice.is_multiple_of(3) { EntryKind::Refund } else { EntryKind::Sale };
            let of = ["a", "b/one", "paper"][usize::try_from(dice % 7 / 3).expect("small")];
            let cents = i64::try_from(dice % 997).expect("small") + 1;
            let made = entry(of, &number.to_string(), kind, cents, before(dice % (100 * DAY)));
            let currency = if dice.is_multiple_of(5) { "USD" } else { "EUR" };
            let customer = (!dice.is_multiple_of(4)).then(|| format!("customer-{}", dice % 11));
            let paper = of == "paper";
            entries.push(with_content(NewEntry { currency: currency.into(), customer, paper, ..made }));
        }
        let now = Timestamp::from_millis(NOON.as_millis() + commit * 7 * MINUTE);
        store.append_entries(entries, now).await.expect("appended");
    }
}

/// Sums the entries of a scope in a range.
fn recount(entries: &[LedgerEntry], scope: &ReportScope, range: &Range<Timestamp>) -> Vec<KindSum> {
    let mut sums: BTreeMap<_, Bucket> = BTreeMap::new();
    for entry in entries {
        let time = if scope.axis == BucketAxis::Posted { entry.posted_at } else { entry.booked_at() };
        let counts = scope.stream.as_ref().is_none_or(|of| *of == entry.stream)
            && scope.paper == entry.paper
            && match scope.as_of {
                None => true,
                Some(AsOf::Sequence(last)) => entry.sequence <= last,
                Some(AsOf::Time(time)) => entry.posted_at <= time,
            }
            && range.contains(&time);
        if counts {
            let key = (entry.stream.clone(), entry.currency.clone(), entry.kind.clone(), entry.late);
            let (posted, net_revenue) = (entry.posted_units().into(), entry.net_revenue.into());
            sums.entry(key).or_default().add(&Bucket { posted, net_revenue, entries: 1, ..Bucket::default() });
        }
    }
    let sum = |((stream, currency, kind, late), sum)| KindSum { stream, kind, currency, late, sum };
    sums.into_iter().map(sum).collect()
}

pub(crate) async fn sums_of_a_range_equal_a_recount_of_its_entries(store: Arc<dyn Store>) {
    fill(&store).await;
    let entries = store.entries_in(1..501, 1_000).await.expect("entries");
    assert_eq!(entries.len(), 500);
    let ranges = vec![
        Timestamp::default()..before(90 * DAY),
        before(70 * DAY + 7)..before(40 * DAY + 3 * MINUTE),
        before(31 * DAY)..before(DAY),
        before(100)..Timestamp::from_millis(NOON.as_millis() + 31 * MINUTE + 1),
        Timestamp::from_millis(NOON.as_millis() + 40 * MINUTE)..Timestamp::MAX,
    ];
    let later = Timestamp::from_millis(NOON.as_millis() + 7 * MINUTE);
    // Ranges of one series may overlap those of another.
    let series = vec![vec![before(99 * DAY + 1)..Timestamp::MAX], ranges, vec![]];
    for axis in [BucketAxis::Occurred, BucketAxis::Posted] {
        for (of, paper, as_of, sequence) in [
            (None, false, None, 500),
            (Some("a"), false, Some(AsOf::Sequence(300)), 300),
            (None, false, Some(AsOf::Sequence(0)), 0),
            (None, true, Some(AsOf::Sequence(777)), 500),
            (None, false, Some(AsOf::Time(later)), 50),
            (None, false, Some(AsOf::Time(before(1))), 0),
            (Some("c"), false, None, 500),
        ] {
            let scope = ReportScope { axis, paper, as_of, ..scope(of) };
            let sums = store.kind_sums(scope.clone(), series.clone()).await.expect("sums");
            assert_eq!(sums.sequence, sequence);
            assert_eq!(sums.series.iter().map(Vec::len).collect::<Vec<_>>(), [1, 5, 0]);
            for (range, sums) in series.iter().flatten().zip(sums.series.into_iter().flatten()) {
                assert_eq!(sums, recount(&entries, &scope, range), "{scope:?} {range:?}");
            }
        }
    }
    assert_eq!(store.first_posted_from(later).await, Ok(26));
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn customers_are_ranked_by_net_revenue_and_then_by_id(store: Arc<dyn Store>) {
    fill(&store).await;
    let entries = store.entries_in(1..501, 1_000).await.expect("entries");
    let ranges = [
        (None, Timestamp::default()..Timestamp::MAX, None),
        (Some("a"), before(95 * DAY + 5)..before(20 * DAY), None),
        (Some("a"), before(30 * DAY)..before(27 * DAY), None),
        (Some("a"), before(40 * DAY)..before(0).plus_millis(DAY), None),
        (None, before(95 * DAY)..before(20 * DAY), Some(332)),
        (None, NOON.plus_millis(10 * MINUTE)..NOON.plus_millis(60 * MINUTE), Some(180)),
    ];
    let ranges = ranges.iter().flat_map(|range| [(BucketAxis::Occurred, range), (BucketAxis::Posted, range)]);
    for (axis, (of, range, limit)) in ranges {
        let scope = ReportScope { as_of: limit.map(AsOf::Sequence), axis, ..scope(*of) };
        let query = CustomerQuery { scope: scope.clone(), range: range.clone(), top: 4 };
        let report = store.customer_totals(query).await.expect("totals");
        for currency in ["EUR", "USD"] {
            let mut customers: BTreeMap<String, CustomerSum> = BTreeMap::new();
            for entry in entries.iter().filter(|entry| entry.currency == currency) {
                let counts = scope.stream.as_ref().is_none_or(|of| *of == entry.stream)
                    && !entry.paper
                    && limit.is_none_or(|limit| entry.sequence <= limit)
                    && range.contains(if axis == BucketAxis::Occurred { &entry.occurred_at } else { &entry.posted_at });
                if counts {
                    let sum = customers.entry(entry.customer.clone().unwrap_or_default()).or_default();
                    sum.entries += 1;
                    sum.net_revenue += i128::from(entry.net_revenue);
                }
            }
            let total = report.totals.iter().find(|total| total.currency == currency).cloned().unwrap_or_default();
            assert_eq!(total.without_customer, customers.remove("").unwrap_or_default());
            assert_eq!(total.customers, customers.len() as u64);
            assert_eq!(total.net_revenue, customers.values().map(|sum| sum.net_revenue).sum::<i128>());
            let mut ranked: Vec<_> = customers.into_iter().collect();
            ranked.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.net_revenue));
            ranked.truncate(4);
            assert_eq!(total.top, ranked);
        }
    }
}

pub(crate) async fn runs_add_their_fuel_to_the_stream_when_they_end(store: Arc<dyn Store>) {
    const QUARTER: u64 = 15 * MINUTE;
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let owner = owner(&store).await;
    let end = async |of: &str, fuel: Option<u64>, at: Timestamp| {
        let run = claimed_run(&store, &owner, of).await;
        let mut commit = success(&owner, &run);
        (commit.stream_fuel, commit.now) = (fuel.map(Fuel::new), at);
        done(&store, commit).await;
    };
    // A quarter of an hour has 900,000 milliseconds.
    let start = Timestamp::from_millis(NOON.as_millis().next_multiple_of(40 * DAY));
    for (of, fuel, after) in
        [("a", 5, 0), ("a", 7, QUARTER - 1), ("a", 11, QUARTER), ("b", 13, 35 * DAY), ("a", u64::MAX, 36 * DAY)]
    {
        end(of, Some(fuel), start.plus_millis(after)).await;
    }
    end("b", None, start).await;
    for (range, of, expected) in [
        (0..QUARTER, Some("a"), vec![("a", 12, 2)]),
        (1..QUARTER - 1, Some("a"), vec![("a", 12, 2)]),
        (QUARTER..QUARTER + 1, Some("a"), vec![("a", 11, 1)]),
        (5..5, Some("a"), vec![]),
        (0..36 * DAY, None, vec![("a", 23, 3), ("b", 13, 1)]),
        (0..90 * DAY, None, vec![("a", 23 + u128::from(u64::MAX), 4), ("b", 13, 1)]),
        (DAY..35 * DAY, None, vec![]),
    ] {
        let shown = format!("{range:?}");
        let range = start.plus_millis(range.start)..start.plus_millis(range.end);
        let of = of.map(stream);
        let found = store.fuel_totals(of.as_ref(), range).await.expect("totals");
        let found: Vec<_> = found.iter().map(|one| (one.stream.as_str(), one.sum.fuel, one.sum.runs)).collect();
        assert_eq!(found, expected, "{shown}");
    }
}

pub(crate) async fn a_deployment_has_the_streams_of_its_name_alone(store: Arc<dyn Store>) {
    let of = async |name: &str| store.stream_of(&name.parse().expect("a name")).await.expect("a read");
    let sale = |of: &str, id: &str| NewEntry { paper: of == "b/two", ..entry(of, id, EntryKind::Sale, 5, NOON) };
    let sales = ["aa", "a0", "b/two", "b-c"].map(|of| sale(of, "s")).to_vec();
    store.append_entries(sales, NOON).await.expect("appended");
    assert_eq!((of("a").await, of("b").await), (None, Some((stream("b/two"), true))));
    store.append_entries(vec![sale("a", "s")], NOON).await.expect("appended");
    assert_eq!(of("a").await, Some((stream("a"), false)));
}

pub(crate) async fn a_rate_belongs_to_its_day_and_currencies(store: Arc<dyn Store>) {
    let rate = |day: &str, from: &str, to: &str, rate: &str| RateRecord {
        day: day.into(),
        from: from.into(),
        to: to.into(),
        rate: rate.into(),
        source: "bank".into(),
        set_at: NOON,
    };
    let rates = vec![
        rate("2026-10-05", "USD", "EUR", "0.9"),
        rate("2026-10-06", "USD", "EUR", "0.91"),
        rate("2026-10-06", "GBP", "EUR", "1.1"),
        rate("2026-10-07", "USD", "EUR", "0.92"),
        rate("2026-10-06", "EUR", "USD", "1.1"),
    ];
    store.put_rates(rates.clone()).await.expect("set");
    let found = store.rates_into("EUR", "2026-10-05", "2026-10-06").await.expect("rates");
    assert_eq!(found, [rates[0].clone(), rates[2].clone(), rates[1].clone()]);
    let other = rate("2026-10-05", "USD", "EUR", "0.95");
    store.put_rates(vec![other.clone()]).await.expect("set");
    assert_eq!(store.rates_into("EUR", "2026-10-05", "2026-10-05").await, Ok(vec![other]));
    assert_eq!(store.rates(None, PageRequest::first(9)).await.expect("a page").items.len(), 5);
    assert_eq!(store.rates(Some("USD"), PageRequest::first(9)).await.expect("a page").items, rates[4..]);
}

pub(crate) async fn the_statement_of_a_closed_period_does_not_change(store: Arc<dyn Store>) {
    let period = |name: &str, start, end| ClosedPeriod {
        name: name.into(),
        time_zone: "UTC".into(),
        start,
        end,
        closed_at: Timestamp::default(),
        sequence: 0,
    };
    let sale = |id: &str, cents, at| entry("a", id, EntryKind::Sale, cents, at);
    store.append_entries(vec![sale("1", 5, before(2 * DAY))], NOON).await.expect("appended");
    let first = period("first", before(3 * DAY), before(DAY));
    let closed = store.close_period(first.clone(), NOON).await.expect("closed");
    assert_eq!((closed.closed_at, closed.sequence), (NOON, 1));
    let later = |minutes: u64| Timestamp::from_millis(NOON.as_millis() + minutes * MINUTE);
    assert_eq!(store.close_period(first, later(1)).await, Ok(closed.clone()), "again");
    for refused in [period("early", before(3 * DAY), before(2 * DAY)), period("open", before(DAY), later(3))] {
        let answer = store.close_period(refused, later(2)).await;
        assert!(matches!(answer, Err(StoreError::IllegalTransition(_))), "{answer:?}");
    }
    assert_eq!(store.closed_until().await, Ok(before(DAY)));
    assert_eq!(store.closed_periods(PageRequest::first(5)).await.expect("a page").items, [closed]);

    // The host's clock was set back into the closed period.
    store.append_entries(vec![sale("2", 7, before(2 * DAY))], before(2 * DAY)).await.expect("appended");
    store.append_entries(vec![sale("3", 9, before(DAY))], later(5)).await.expect("appended");
    let entry = store.ledger_entry_at(2).await.expect("a read").expect("an entry");
    assert_eq!((entry.late, entry.posted_at), (true, NOON));
    let ranges = vec![before(3 * DAY)..before(DAY), before(DAY)..later(10)];
    let sums = store.kind_sums(scope(Some("a")), vec![ranges]).await.expect("sums");
    assert_eq!(sums.closed_until, before(DAY));
    let found: Vec<Vec<_>> =
        sums.series.iter().flatten().map(|sums| sums.iter().map(|sum| (sum.late, sum.sum.posted)).collect()).collect();
    assert_eq!(found, [vec![(false, 5)], vec![(false, 9), (true, 7)]]);
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}
