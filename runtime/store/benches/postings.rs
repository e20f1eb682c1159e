//! Entries of the ledger per second, in commits of 500, and the time and memory of its check.
//!
//! `cargo bench -p tidemill-store --bench postings -- 1000000` posts a million entries of 100
//! streams; every sixth entry is a reservation, and its settlement follows in the same commit. Four
//! callers wait for their commits. Guests and HTTP are not part of it: `load -- postings` measures
//! the whole host. This is not criterion, because what is measured grows.
#![allow(clippy::print_stdout, reason = "what it measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemill_core::Timestamp;
use tidemill_core::clock::Stopwatch;
use tidemill_core::money::{EntryCall, EntryKind};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};
use tidemill_store::traits::{LedgerStore as _, NodeStore as _};

/// The host's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries of one commit.
const ENTRIES: u64 = 500;
const STREAMS: u64 = 100;
const CALLERS: u64 = 4;

fn legs(minor_units: i64, sign: i64) -> Vec<LedgerLeg> {
    let (from, to) = EntryKind::Usage.accounts();
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    vec![leg(from.as_str(), -minor_units * sign), leg(to.as_str(), minor_units * sign)]
}

fn entry(commit: u64, number: u64) -> NewEntry {
    let minor_units = 1 + i64::try_from((commit * 31 + number * 17) % 9_000).unwrap_or_default();
    NewEntry {
        id: format!("01hzzzzzzzzzzzzzzzzzzzzzzz-{commit}-{number:05}"),
        stream: format!("stream-{}", commit % STREAMS).parse().expect("a stream"),
        run: None,
        external_id: format!("evt_1NG8Du2eZvKYlo2C{commit:08}{number:04}"),
        call: EntryCall::Post,
        kind: EntryKind::Usage.as_str().to_owned(),
        minor_units,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: minor_units,
        occurred_at: Timestamp::from_millis(1_700_000_000_000 + commit * 60_000 + number * 100),
        customer: Some(format!("cus_{}", number * 7 % 1_000)),
        description: "usage of the API".to_owned(),
        metadata: r#"{"calls":1200}"#.to_owned(),
        of: None,
        legs: legs(minor_units, 1),
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    }
}

/// The entries of one commit.
fn entries(commit: u64) -> Vec<NewEntry> {
    let mut entries: Vec<NewEntry> = Vec::new();
    for number in 0..ENTRIES {
        let made = entry(commit, number);
        let entry = match number % 6 {
            4 => NewEntry {
                call: EntryCall::Reserve,
                net_revenue: 0,
                pending: made.legs.clone(),
                legs: Vec::new(),
                expires_at: Some(made.occurred_at.plus_millis(86_400_000)),
                ..made
            },
            5 => {
                let held: &NewEntry = &entries[entries.len() - 1];
                NewEntry {
                    id: made.id,
                    external_id: format!("{}/settled", held.external_id),
                    call: EntryCall::Settle,
                    net_revenue: held.minor_units,
                    legs: held.pending.clone(),
                    pending: legs(held.minor_units, -1),
                    reservation: Some(held.id.clone()),
                    expires_at: None,
                    ..held.clone()
                }
            }
            _ => made,
        };
        entries.push(entry);
    }
    entries
}

/// The process's resident memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}

#[tokio::main]
async fn main() {
    let wanted: u64 = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(200_000);
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).expect("a store");
    store.begin_epoch(&"here".parse().expect("a name")).await.expect("an epoch");
    let (store, next, watch) = (Arc::new(store), Arc::new(AtomicU64::new(0)), Stopwatch::start());
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let commit = next.fetch_add(1, Ordering::Relaxed);
                    if commit * ENTRIES >= wanted {
                        return;
                    }
                    let now = Timestamp::from_millis(1_700_000_000_000 + commit * 60_000);
                    store.append_entries(entries(commit), now).await.expect("appended");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    let seconds = watch.elapsed().as_secs_f64();
    println!("postings: {wanted} entries in {seconds:.1} s, {:.0} a second", wanted as f64 / seconds);
    // The first check fills the cache of the index, whose size does not depend on the number of
    // entries.
    for which in ["first", "second"] {
        let (before, watch, mut most) = (resident(), Stopwatch::start(), 0);
        let checking = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.check_ledger().await.expect("a check") }
        });
        while !checking.is_finished() {
            most = most.max(resident());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let check = checking.await.expect("a check");
        assert_eq!((check.entries, check.problems), (wanted.div_ceil(ENTRIES) * ENTRIES, vec![]));
        let more = most.max(resident()).saturating_sub(before) >> 10;
        println!("{which} check: {:.2} s, at most {more} MiB more", watch.elapsed().as_secs_f64());
    }
}
