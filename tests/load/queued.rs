//! Many queued runs: the effect of a flood of one deployment on another, and the cost of a million
//! queued runs at an admission and at a restart.
//!
//! The benchmark writes the runs through the contract of the store, while no host uses the folder.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tidemill_core::ids::Owner;
use tidemill_core::run::{Export, Seed, Trigger};
use tidemill_core::{DeploymentName, RunId, Timestamp};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::{AdmissionTerms, NewRun};
use tidemill_store::traits::*;

use crate::host::Host;
use crate::table::Table;

/// Number of runs that are requested concurrently. They share commits.
const SIDE_BY_SIDE: usize = 2_000;
/// Number of runs of the flood.
const FLOOD: u64 = 100_000;
/// Number of calls of the single deployment, without the flood and during it.
const CALLS: usize = 200;
/// Pause between two calls.
const PAUSE: Duration = Duration::from_millis(10);
/// Number of measured admissions for each queue length.
const ADMISSIONS: usize = 500;
/// Queue lengths.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Measures single runs of one deployment while a hundred thousand queued runs of another start.
pub async fn flood(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    deploy(&host).await;
    let alone = [calls(&host, "single").await, calls(&host, "single-queued").await];
    host.stop();
    let store = open(dir.path());
    fill(&store, 0, FLOOD).await;
    store.close().await.unwrap();
    drop(store);
    host.resume().await;
    let loaded = [calls(&host, "single").await, calls(&host, "single-queued").await];
    let left = queued(&host, FLOOD).await;
    assert!(left > 0, "the flood ended before the calls did, and delayed none of them");
    for ((name, alone), loaded) in ["starts at once", "passes through the queue"].into_iter().zip(alone).zip(loaded) {
        table.row(
            format!("a run that {name}, alone"),
            format!("p50 {:.2} ms, p99 {:.2} ms", alone.0, alone.1),
            "the measure",
        );
        table.row(
            format!("the same with {FLOOD} queued runs of another deployment, of which {left} are left at the end"),
            format!("p50 {:.2} ms, p99 {:.2} ms", loaded.0, loaded.1),
            "p50 < 2 times the line above",
        );
    }
}

/// Measures admissions with queues of several lengths, and a restart with the longest.
pub async fn queue(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    deploy(&host).await;
    let paused = host.http.post(host.url("/v1/deployments/flood/pause")).send().await.unwrap();
    assert!(paused.status().is_success());
    host.stop();
    let store = open(dir.path());
    let owner =
        Owner { node: "load".parse().unwrap(), epoch: store.begin_epoch(&"load".parse().unwrap()).await.unwrap() };
    let flood: DeploymentName = "flood".parse().unwrap();
    let begun = Instant::now();
    let mut there = 0;
    for size in SIZES {
        fill(&store, there, size).await;
        there = size;
        let mut took = Vec::with_capacity(ADMISSIONS);
        for _ in 0..ADMISSIONS {
            let asked = Instant::now();
            let claimed = store.claim(&owner, &flood, 1, now()).await.unwrap();
            took.push(asked.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(claimed.len(), 1);
        }
        let (p50, p99) = percentiles(&mut took);
        table.row(
            format!("admitting one of {size} queued runs, committed"),
            format!("p50 {p50:.2} ms, p99 {p99:.2} ms"),
            "no more than a little over the smallest",
        );
    }
    println!("{there} runs were written to the store in {:.0} s", begun.elapsed().as_secs_f64());
    store.close().await.unwrap();
    drop(store);
    let begun = Instant::now();
    host.resume().await;
    table.row(
        "ready after a stop, with 1,000,000 queued runs",
        format!("{:.2} s", begun.elapsed().as_secs_f64()),
        "< 5 s",
    );
    host.kill();
    let begun = Instant::now();
    host.resume().await;
    table.row("ready after kill -9, with them", format!("{:.2} s", begun.elapsed().as_secs_f64()), "< 5 s");
    let left = queued(&host, 2_000_000).await;
    assert_eq!(left, 1_000_000 - SIZES.len() as u64 * ADMISSIONS as u64, "no run is lost");
}

async fn deploy(host: &Host) {
    host.upload("noop", tidemill_artifacts::noop()).await;
    for (name, more) in
        [("flood", json!({})), ("single", json!({})), ("single-queued", json!({ "concurrency_key": "/k" }))]
    {
        let mut manifest = json!({ "module": "noop@1.0.0", "health": { "enabled": false } });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.deploy(name, &manifest).await;
    }
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedStore::config(&dir.join("data").join("store"))).unwrap().0
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

/// Extends the queue from `from` runs to `to` runs.
async fn fill(store: &EmbeddedStore, from: u64, to: u64) {
    let flood = store.deployment(&"flood".parse().unwrap()).await.unwrap().unwrap();
    let asked = now();
    stream::iter(from..to)
        .map(|number| {
            let new = NewRun {
                id: RunId::new(asked, u128::from(number)),
                deployment: flood.name.clone(),
                revision: flood.revision,
                component: flood.component,
                export: Export::Workflow,
                trigger: Trigger::default(),
                input: "{}".into(),
                key: None,
                labels: Vec::new(),
                priority: 5,
                now: asked,
                not_before: asked,
                seed: Seed([1; 32]),
                detached: false,
                lanes: Vec::new(),
                terms: AdmissionTerms::default(),
            };
            async move { store.request_run(new).await.unwrap() }
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .for_each(|_| async {})
        .await;
}

/// Number of queued runs of the flood, as `explain` of one of them shows it.
async fn queued(host: &Host, at_most: u64) -> u64 {
    let page = host.get("/v1/runs?deployment=flood&state=queued&limit=1").await;
    let Some(id) = page["items"][0]["id"].as_str() else { return 0 };
    let explained = host.get(&format!("/v1/runs/{id}/explain")).await;
    let stages = explained["stages"].as_array().unwrap();
    let queue = stages.iter().find(|stage| stage["stage"] == "queue").unwrap();
    queue["used"].as_u64().unwrap().min(at_most)
}

/// Measures sequential calls: median and 99th percentile, in milliseconds.
async fn calls(host: &Host, name: &str) -> (f64, f64) {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let asked = Instant::now();
        let run: Value = host.invoke(name, &json!({})).await;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(run["state"], "succeeded", "{run}");
        tokio::time::sleep(PAUSE).await;
    }
    percentiles(&mut took)
}

fn percentiles(took: &mut [f64]) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
