//! Many schedules: ten thousand due over one second, ten thousand due at one instant, a hundred
//! thousand at rest.
//!
//! The schedules are written to the store before the host starts, because a `PUT` of each would
//! take minutes. The host itself measures the latency of a firing, from its nominal time to its
//! commit.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tidemill_core::schedule::Schedule;
use tidemill_core::{ComponentDigest, Manifest, Timestamp};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::{FiringTimes, NextFiring, PutDeployment, ScheduleChange};
use tidemill_store::traits::{DeploymentStore as _, NodeStore as _};

use crate::histogram::Buckets;
use crate::host::{Host, PATIENCE};
use crate::schedules::usage;
use crate::table::Table;

const DUE: u64 = 10_000;
const AT_REST: u64 = 100_000;
/// Maximum number of schedules of a deployment.
const IN_ONE: u64 = 32;
/// Time from writing the schedules to the first nominal time, in milliseconds.
const AHEAD: u64 = 20_000;

pub async fn measure(table: &mut Table) {
    due(table, "over one second", |number| number * 1_000 / DUE, "p99 < 250 ms").await;
    due(table, "at one instant", |_| 0, "all within 1 s").await;
}

/// Measures ten thousand deployments with one firing each. `after` gives the milliseconds of each
/// after the first.
async fn due(table: &mut Table, when: &str, after: fn(u64) -> u64, goal: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (mut host, component) = prepared(dir.path()).await;
    let first = now() + AHEAD;
    let manifests = (0..DUE).map(|number| {
        let at = Timestamp::from_millis(first + after(number)).to_rfc3339();
        (format!("due-{number}"), json!([{ "name": "once", "at": at }]))
    });
    put(dir.path(), component, manifests).await;
    host.resume().await;
    let ready = first.saturating_sub(now());
    assert!(ready > 3_000, "the host was ready {ready} ms before they are due");
    tokio::time::sleep(Duration::from_millis(ready + 10_000)).await;
    host.wait_until_none_is(&["queued", "running"], PATIENCE).await;
    let late = Buckets::read(&host, "firing_lateness_seconds").await;
    assert_eq!(late.count(), DUE, "each fired once");
    let mut deployments = std::collections::BTreeSet::new();
    let mut path = "/v1/runs?limit=500".to_owned();
    loop {
        let page = host.get(&path).await;
        for run in page["items"].as_array().unwrap() {
            assert_eq!(run["state"], "succeeded", "{run}");
            assert!(deployments.insert(run["deployment"].as_str().unwrap().to_owned()), "double: {run}");
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/runs?limit=500&cursor={next}");
    }
    assert_eq!(deployments.len() as u64, DUE, "none is lost");
    table.row(
        format!("{DUE} schedules due {when}: from the time of each to its request's commit"),
        format!("p50 ≤ {}, p99 ≤ {}, last ≤ {}", late.share(0.5), late.share(0.99), late.share(1.0)),
        goal,
    );
}

/// Measures a hundred thousand schedules without a firing for at least an hour.
pub async fn at_rest(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let (mut host, component) = prepared(dir.path()).await;
    host.resume().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (_, before) = usage(host.pid());
    host.stop();
    let daily = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 % 24;
    let manifests = (0..AT_REST / IN_ONE).map(|number| {
        let schedule = |n: u64| {
            let hour = (daily + 2 + n % 20) % 24;
            json!({ "name": format!("s{n}"), "cron": format!("{} {hour} * * *", number % 60) })
        };
        (format!("rest-{number}"), (0..IN_ONE).map(schedule).collect())
    });
    put(dir.path(), component, manifests).await;
    let begun = std::time::Instant::now();
    host.resume().await;
    let ready = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (cpu, after) = usage(host.pid());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (later, _) = usage(host.pid());
    let schedules = AT_REST / IN_ONE * IN_ONE;
    table.row(
        format!("{schedules} schedules at rest, {IN_ONE} in a deployment: resident memory"),
        format!("{} MB more than without them ({after} MB); ready after {ready:.1} s", after.saturating_sub(before)),
        "< 100 MB more",
    );
    table.row(
        format!("{schedules} schedules at rest: CPU over 30 s"),
        format!("{:.2} %", (later - cpu) / 30.0 * 100.0),
        "not measurable",
    );
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Uploads the component to a host and stops it.
async fn prepared(dir: &Path) -> (Host, ComponentDigest) {
    let mut host = Host::start(dir).await;
    let (_, uploaded) = host.upload("noop", tidemill_artifacts::noop()).await;
    host.stop();
    (host, uploaded["digest"].as_str().unwrap().parse().unwrap())
}

/// Writes deployments with these schedules to the store of a stopped host.
async fn put(dir: &Path, component: ComponentDigest, named: impl Iterator<Item = (String, Value)>) {
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&dir.join("data").join("store"))).unwrap();
    let now = Timestamp::from_millis(now());
    let puts = named.map(|(name, schedules)| {
        let manifest = json!({
            "name": name, "module": "noop@1.0.0", "schedules": schedules, "health": { "enabled": false },
        });
        let manifest = Manifest::parse_json(manifest.to_string().as_bytes()).unwrap();
        let change = |schedule: &Schedule| ScheduleChange {
            name: schedule.name().clone(),
            spec: schedule.fingerprint(),
            next: schedule.next_after(now).map(NextFiring::from),
            times: {
                let schedule = schedule.clone();
                FiringTimes::new(move |after| schedule.next_after(after).map(NextFiring::from))
            },
            limit: None,
            pause_after_failures: None,
            missed: None,
        };
        let put = PutDeployment {
            name: name.parse().unwrap(),
            expected: None,
            component,
            schedules: manifest.schedules.iter().map(change).collect(),
            manifest: manifest.to_json().to_string().into(),
            subscriptions: Vec::new(),
            budgets: Vec::new(),
            incident: None,
            now,
        };
        store.put_deployment(put)
    });
    let mut done = stream::iter(puts).buffer_unordered(256);
    while let Some(put) = done.next().await {
        put.unwrap();
    }
    store.close().await.unwrap();
}
