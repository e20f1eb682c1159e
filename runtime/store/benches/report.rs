//! Time of reports over 1,000,000 entries of 100 streams and a year, while entries are posted, and
//! of the past balance of a customer with a tenth as many entries.
//!
//! The goal is less than 20 ms at the 95th percentile for totals, growth and a month's statement,
//! and less than 5 ms for a past balance.
//! The ledger is built once. Each line is one report: the median and the 95th percentile of its
//! times as the median plus a distance, in the form of criterion's `bencher` output.
#![allow(clippy::print_stdout, reason = "what it measured")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidemill_core::Timestamp;
use tidemill_core::clock::Stopwatch;
use tidemill_core::money::{ContentHash, EntryCall, EntryKind, net_revenue};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::{
    AsOf, BalanceFilter, BucketAxis, CustomerQuery, Evidence, LedgerLeg, NewEntry, PageRequest, ReportScope,
};
use tidemill_store::traits::{BalanceStore as _, LedgerStore as _, ReportStore as _};

/// The host's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAMS: u64 = 100;
/// Number of entries in a commit.
const COMMIT: u64 = 500;
/// Number of times that each report is made.
const ROUNDS: usize = 100;
/// The first day: 2025-01-01.
const START: u64 = 1_735_689_600_000;
const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;

/// Returns the entry with a number. Its time, kind and customer follow no pattern.
fn entry(number: u64) -> NewEntry {
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let kinds = [EntryKind::Sale, EntryKind::Sale, EntryKind::Subscription, EntryKind::Fee, EntryKind::Refund];
    let kind = kinds[usize::try_from(dice % 5).unwrap_or_default()];
    let cents = i64::try_from(dice % 9_973).unwrap_or_default() + 1;
    let legs = kind.legs(cents).expect("an amount");
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    NewEntry {
        id: String::new(),
        // A commit of a run has one stream.
        stream: format!("stream-{:02}", number / COMMIT % STREAMS).parse().expect("a stream"),
        run: None,
        external_id: format!("ch_{number:012}"),
        call: EntryCall::Post,
        kind: kind.as_str().to_owned(),
        minor_units: cents,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: net_revenue(legs),
        occurred_at: Timestamp::from_millis(START + dice % (365 * DAY)),
        customer: Some(format!("cus_{:05}", dice % 20_011)),
        description: "a book".to_owned(),
        metadata: "{}".to_owned(),
        of: None,
        legs: legs.iter().map(|one| leg(one.account.as_str(), one.minor_units)).collect(),
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: ContentHash::default(),
    }
}

async fn append(store: &EmbeddedStore, commit: u64) {
    let entries = (commit * COMMIT..(commit + 1) * COMMIT).map(entry).collect();
    let now = Timestamp::from_millis(START + 365 * DAY + commit);
    store.append_entries(entries, now).await.expect("appended");
}

/// Appends entries of one prepaid account: a prepayment of a thousand cents, then draws of a cent.
async fn append_prepaid(store: &EmbeddedStore, commit: u64) {
    let of = |number: u64| {
        let (kind, cents) =
            if number.is_multiple_of(1_000) { (EntryKind::Prepayment, 1_000) } else { (EntryKind::Drawdown, 1) };
        let legs = kind.legs(cents).expect("an amount");
        let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
        NewEntry {
            stream: "prepaid".parse().expect("a stream"),
            external_id: format!("call_{number:012}"),
            kind: kind.as_str().to_owned(),
            minor_units: cents,
            net_revenue: net_revenue(legs),
            customer: Some("cus_prepaid".to_owned()),
            legs: legs.iter().map(|one| leg(one.account.as_str(), one.minor_units)).collect(),
            ..entry(number)
        }
    };
    let entries = (commit * COMMIT..(commit + 1) * COMMIT).map(of).collect();
    let now = Timestamp::from_millis(START + 366 * DAY + commit);
    store.append_entries(entries, now).await.expect("appended");
}

fn scope(stream: Option<&str>) -> ReportScope {
    let stream = stream.map(|stream| stream.parse().expect("a stream"));
    ReportScope { stream, paper: false, axis: BucketAxis::Occurred, as_of: None }
}

fn days(first: u64, last: u64, shift: u64) -> Range<Timestamp> {
    Timestamp::from_millis(START + first * DAY - shift)..Timestamp::from_millis(START + last * DAY - shift)
}

/// Makes a report many times and prints its line.
async fn measure<F: Future>(name: &str, report: impl Fn() -> F) {
    let mut nanos = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let watch = Stopwatch::start();
        std::hint::black_box(report().await);
        nanos.push(watch.elapsed().as_nanos());
    }
    nanos.sort_unstable();
    let at = |percent: usize| nanos.get(nanos.len() * percent / 100).copied().unwrap_or_default();
    println!("test report/{name} ... bench: {} ns/iter (+/- {})", at(50), at(95) - at(50));
}

#[tokio::main]
async fn main() {
    let count: u64 = std::env::var("ENTRIES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).expect("a store");
    let watch = Stopwatch::start();
    for commit in 0..count / COMMIT {
        append(&store, commit).await;
    }
    let rate = count as f64 / watch.elapsed().as_secs_f64();
    println!("# {count} entries of {STREAMS} streams, {rate:.0} posted each second");

    let watch = Stopwatch::start();
    for commit in 0..count / COMMIT / 10 {
        append_prepaid(&store, commit).await;
    }
    let rate = (count / 10) as f64 / watch.elapsed().as_secs_f64();
    println!("# {} entries of one prepaid account, {rate:.0} posted each second", count / 10);

    let stop = Arc::new(AtomicBool::new(false));
    let posting = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut commit = count / COMMIT;
            while !stop.load(Ordering::Relaxed) {
                append(&store, commit).await;
                commit += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    });
    // Months in Berlin: one or two hours before those of UTC.
    let october = days(273, 304, 2 * HOUR);
    let statement = || vec![Timestamp::default()..october.start, october.clone()];
    let growth = vec![days(243, 273, 2 * HOUR), october.clone()];
    measure("totals", || store.stream_totals()).await;
    for (name, of) in [("stream", Some("stream-07")), ("all", None)] {
        measure(&format!("statement-month-{name}"), || store.kind_sums(scope(of), vec![statement()])).await;
        measure(&format!("growth-month-{name}"), || store.kind_sums(scope(of), vec![growth.clone()])).await;
        let weeks = vec![days(100, 107, 0), days(107, 114, 0)];
        measure(&format!("growth-week-{name}"), || store.kind_sums(scope(of), vec![weeks.clone()])).await;
        let series: Vec<_> = (0..30).map(|day| days(273 + day, 274 + day, 2 * HOUR)).collect();
        measure(&format!("days-of-month-{name}"), || store.kind_sums(scope(of), vec![series.clone()])).await;
        let customers = CustomerQuery { scope: scope(of), range: october.clone(), top: 10 };
        measure(&format!("customers-month-{name}"), || store.customer_totals(customers.clone())).await;
    }
    let asked = AtomicU64::new(0);
    let balance = || {
        // Any entry of the account.
        let dice = asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let sequence = count / COMMIT * COMMIT + 1 + dice % (count / COMMIT / 10 * COMMIT);
        let filter = BalanceFilter { stream: None, customer: Some("cus_prepaid".to_owned()) };
        let now = Timestamp::from_millis(START + 400 * DAY);
        let store = &store;
        async move { store.balances(&filter, PageRequest::first(1), Some(AsOf::Sequence(sequence)), now).await }
    };
    measure("past-balance", balance).await;
    stop.store(true, Ordering::Relaxed);
    posting.await.expect("posted");
}
