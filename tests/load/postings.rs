//! The ledger of a whole host: its rate, and its truth under kills.
//!
//! Entries come from runs that post 500 each, every third of them reserved first. The host is
//! killed every few seconds while they are posted. The ledger is then compared with what was
//! requested. `TIDEMILL_LOAD_SHARE=100` posts the hundredth part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::host::{Host, pseudo_random};
use crate::machine::{self, LoadShare};
use crate::table::Table;

/// Number of streams.
const STREAMS: u64 = 100;
/// Number of entries in all: each sale is one, and each settlement another one.
const ENTRIES: u64 = 1_000_000;
/// Number of sales of one run.
const SALES: u64 = 375;
/// Number of entries of one run: a third of its sales is settled.
const ENTRIES_OF_RUN: u64 = 500;
/// Number of clients that wait for their runs.
const CLIENTS: usize = 8;
/// Duration of the measurement of the rate.
const SECONDS: u64 = 20;
/// Number of reservers of one cent, and the credit that they compete for.
const RESERVERS: u64 = 10_000;
const CREDIT: u64 = 5_000;
/// Number of reads of a balance, each after an acknowledged posting.
const READS: u64 = 1_000_000;
/// Minimum and maximum time between two kills, in milliseconds.
const KILLS: [u64; 2] = [2_000, 6_000];

pub async fn measure(table: &mut Table) {
    let share = LoadShare::of_environment();
    rate(table, share).await;
    truth(table, share).await;
    floors(table, share).await;
    staleness(table, share).await;
}

async fn deploy_streams(host: &Host, streams: u64) {
    for stream in 0..streams {
        let manifest = json!({ "concurrency": 8, "queue": 100_000, "health": { "enabled": false } });
        host.deploy_hostile(&format!("shop-{stream}"), manifest).await;
    }
}

fn sales(run: u64) -> Value {
    json!({ "do": "post-many", "prefix": format!("run-{run}"), "count": SALES })
}

async fn rate(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    deploy_streams(&host, 8).await;
    let within = share.of_time(Duration::from_secs(SECONDS));
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let client = async || {
        while begun.elapsed() < within {
            let run = next.fetch_add(1, Ordering::Relaxed);
            let ended = host.invoke(&format!("shop-{}", run % 8), &sales(run)).await;
            assert_eq!(ended["state"], "succeeded", "{ended}");
        }
    };
    join_all((0..CLIENTS).map(|_| client())).await;
    let entries = next.load(Ordering::Relaxed) * ENTRIES_OF_RUN;
    table.row(
        format!("postings of runs with {ENTRIES_OF_RUN} entries, a quarter of them settlements, {CLIENTS} clients"),
        format!("{:.0} entries/s", entries as f64 / begun.elapsed().as_secs_f64()),
        "≥ 15,000/s",
    );
}

/// A host that is killed and resumed every few seconds.
struct MortalHost<R> {
    host: Host,
    random: R,
    next: Instant,
    kills: u32,
}

impl<R: FnMut(u64) -> u64> MortalHost<R> {
    fn new(host: Host, random: R) -> Self {
        let mut mortal = Self { host, random, next: Instant::now(), kills: 0 };
        mortal.set_next();
        mortal
    }

    fn set_next(&mut self) {
        self.next = Instant::now() + Duration::from_millis(KILLS[0] + (self.random)(KILLS[1] - KILLS[0]));
    }

    async fn kill_if_due(&mut self) {
        if Instant::now() >= self.next {
            self.host.kill();
            self.host.resume().await;
            self.kills += 1;
            self.set_next();
        }
    }

    /// Requests a run and does not wait for its end.
    async fn request(&mut self, deployment: &str, key: &str, input: &Value) {
        self.kill_if_due().await;
        self.host.request_surely(deployment, key, input).await;
    }

    /// Waits until no run is queued or running. Returns the host, which is killed no more, and how
    /// often it was.
    async fn until_idle(mut self) -> (Host, u32) {
        while !is_idle(&self.host).await {
            self.kill_if_due().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (self.host, self.kills)
    }
}

/// Whether no run is queued or running.
async fn is_idle(host: &Host) -> bool {
    let open = host.get("/v1/runs?state=queued,running,suspended&limit=1").await;
    open["items"].as_array().is_some_and(Vec::is_empty)
}

async fn truth(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    deploy_streams(&host, STREAMS).await;
    let runs = share.of(ENTRIES / ENTRIES_OF_RUN);
    let begun = Instant::now();
    let mut mortal = MortalHost::new(host, pseudo_random(13));
    for run in 0..runs {
        mortal.request(&format!("shop-{}", run % STREAMS), &format!("run-{run}"), &sales(run)).await;
    }
    let (host, kills) = mortal.until_idle().await;
    let took = begun.elapsed();
    let failed = host.get("/v1/runs?state=failed,parked,cancelled&limit=1").await;
    assert_eq!(failed["items"], json!([]));

    let entries = runs * ENTRIES_OF_RUN;
    let check = host.check_ledger().await;
    assert_eq!((&check["entries"], &check["problems"]), (&json!(entries), &json!([])), "{check}");
    let streams = host.get("/v1/streams").await;
    let totals = streams["items"].as_array().unwrap().iter().map(|stream| &stream["totals"][0]["net_revenue"]);
    let revenue: u64 = totals.map(|total| total.as_u64().unwrap_or_default()).sum();
    assert_eq!(revenue, runs * SALES, "the sum of all sales");
    table.row(
        format!(
            "{entries} entries of {STREAMS} streams under {kills} kills: wrong legs, sums, ids, numbers and hashes"
        ),
        format!("none, after {took:.0?}"),
        "none",
    );
    // The first reading has filled the caches of the index. Their size does not depend on the
    // number of entries.
    for what in ["check", "export as JSON Lines"] {
        let begun = Instant::now();
        let read = async {
            match what {
                "check" => host.check_ledger().await["entries"].as_u64(),
                _ => Some(exported_lines(&host).await),
            }
        };
        let (read, more) = machine::growth_during(&host, read).await;
        assert!(read >= Some(entries), "{what}: {read:?}");
        table.row(
            format!("{what} of {entries} entries, and memory"),
            format!("{:.1?}, {more:.0} MiB more", begun.elapsed()),
            "< 15 s, < 32 MiB",
        );
    }
}

/// Exports the ledger, and returns the number of lines.
async fn exported_lines(host: &Host) -> u64 {
    let mut answer = host.http.get(host.url("/v1/ledger/export")).send().await.unwrap();
    let mut lines = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        lines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    lines
}

async fn floors(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("shop-0", json!({ "concurrency": 256, "queue": 100_000 })).await;
    let (reservers, credit) = (share.of(RESERVERS), share.of(CREDIT));
    host.grant("shop-0", "c", credit).await;
    let mut mortal = MortalHost::new(host, pseudo_random(14));
    for number in 0..reservers {
        let input = json!({ "do": "post", "external_id": format!("job-{number}"), "kind": "drawdown", "amount": 1,
            "customer": "c", "reserve": true });
        mortal.request("shop-0", &number.to_string(), &input).await;
    }
    let (host, kills) = mortal.until_idle().await;
    let held = i64::try_from(credit).unwrap();
    assert_eq!(host.balance("c").await, (0, held));
    // The grant is entry 1, and each reservation is one entry.
    for sequence in 1..=held + 1 {
        assert_eq!(host.balance(&format!("c&as_of={sequence}")).await, (held + 1 - sequence, sequence - 1));
    }
    table.row(
        format!("{reservers} reservers of 1 on an account of {credit} under {kills} kills: reservations that hold"),
        format!("{credit}, never below the floor"),
        "exactly as many",
    );
}

async fn staleness(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("shop-0", json!({ "concurrency": 256, "health": { "enabled": false } })).await;
    let reads = share.of(READS);
    let reads_of_client = reads / CLIENTS as u64;
    let begun = Instant::now();
    let client = async |number: usize| {
        let customer = format!("c{number}");
        host.grant("shop-0", &customer, reads_of_client).await;
        for left in (0..i64::try_from(reads_of_client).unwrap()).rev() {
            let input = json!({ "do": "draw", "external_id": format!("{customer}-{left}"), "customer": customer });
            let drawn = host.invoke("shop-0", &input).await;
            assert_eq!(drawn["state"], "succeeded", "{drawn}");
            let (available, _) = host.balance(&customer).await;
            assert_eq!(available, left, "the read lacks an acknowledged draw");
        }
    };
    join_all((0..CLIENTS).map(client)).await;
    table.row(
        format!("{reads} reads of a balance, each after an acknowledged draw, {CLIENTS} clients: stale reads"),
        format!("none, {:.0} pairs/s", reads as f64 / begun.elapsed().as_secs_f64()),
        "none",
    );
}
