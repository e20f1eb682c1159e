//! Delivery of events: one publisher at a fixed rate, and one, ten and a hundred subscriptions to
//! its topic, each in its own deployment.
//!
//! The host itself measures the latency of a delivery, from the commit of the event to that of the
//! run request. The benchmark counts lost and duplicate events from the list of runs and the topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::histogram::Buckets;
use crate::host::{Host, PATIENCE};
use crate::oha::{self, Load};
use crate::table::Table;

/// Number of subscriptions, and publishing runs a second. A host can start that number of runs.
const FAN_OUT: [(usize, u32); 3] = [(1, 1_000), (10, 200), (100, 30)];
/// Duration of publishing, in seconds.
const SECONDS: u32 = 20;
const TOPIC: &str = "load";

pub async fn measure(table: &mut Table) {
    for (subscriptions, per_second) in FAN_OUT {
        fan_out(table, subscriptions, per_second).await;
    }
}

async fn fan_out(table: &mut Table, subscriptions: usize, per_second: u32) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.upload("noop", tidemill_artifacts::noop()).await;
    host.upload("durable", tidemill_artifacts::durable()).await;
    let mut publisher = json!({ "module": "durable@1.0.0", "concurrency": 256, "health": { "enabled": false } });
    publisher["grants"] = json!({ "topics": [TOPIC] });
    host.deploy("publisher", &publisher).await;
    let subscription = json!([{ "name": "s", "topic": TOPIC }]);
    for number in 0..subscriptions {
        let manifest = json!({ "module": "noop@1.0.0", "subscriptions": subscription, "health": { "enabled": false } });
        host.deploy(&format!("subscriber-{number}"), &manifest).await;
    }
    let publish = json!({ "acts": [{ "do": "publish", "topic": TOPIC, "payload": { "order": 7, "country": "DE" } }] });
    let url = host.url("/v1/deployments/publisher/runs");
    let seen = oha::post(url, &publish.to_string(), Load::Rate { per_second }, SECONDS).await;
    assert_eq!(seen.failed, 0);
    delivered(&host).await;
    host.wait_until_none_is(&["queued", "running"], 2 * PATIENCE).await;

    let events = events(&host).await;
    let runs = runs(&host).await;
    assert_eq!(runs.len(), subscriptions, "every subscription received an event");
    let (mut lost, mut doubled) = (0, 0);
    for given in runs.values() {
        lost += events.iter().filter(|event| !given.contains_key(*event)).count();
        doubled += given.values().map(|runs| runs - 1).sum::<u64>();
    }
    let took = Buckets::read(&host, "event_delivery_seconds").await;
    assert_eq!(took.count(), (events.len() * subscriptions) as u64, "every delivery is measured");
    let each = format!("{} events at {per_second} a second, subscriptions: {subscriptions}", events.len());
    table.row(
        format!("{each}; publishing runs"),
        format!("{:.0}/s, p50 {:.2} ms, p99 {:.2} ms", seen.per_second, seen.p50, seen.p99),
        format!("{per_second}/s"),
    );
    table.row(
        format!("{each}; from the event's commit to that of the run request"),
        format!("p50 ≤ {}, p99 ≤ {}, last ≤ {}", took.share(0.5), took.share(0.99), took.share(1.0)),
        "",
    );
    table.row(format!("{each}; lost, delivered twice"), format!("{lost}, {doubled}"), "0, 0");
    assert_eq!((lost, doubled), (0, 0));
}

/// Waits until every event is delivered.
async fn delivered(host: &Host) {
    let begun = Instant::now();
    loop {
        let subscriptions = all(host, "/v1/subscriptions?limit=500").await;
        let waiting: u64 = subscriptions.iter().filter_map(|one| one["waiting"].as_u64()).sum();
        if waiting == 0 {
            return;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{waiting} events are not delivered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ids of all published events.
async fn events(host: &Host) -> BTreeSet<String> {
    let events = all(host, &format!("/v1/topics/{TOPIC}/events?limit=500")).await;
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Number of runs of each event, by subscriber.
async fn runs(host: &Host) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut found: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for run in all(host, "/v1/runs?limit=500").await {
        assert_eq!(run["state"], "succeeded", "{run}");
        if run["trigger"]["kind"] == "event" {
            let (deployment, event) = (run["deployment"].as_str().unwrap(), run["trigger"]["id"].as_str().unwrap());
            *found.entry(deployment.to_owned()).or_default().entry(event.to_owned()).or_default() += 1;
        }
    }
    found
}

/// All items of a list, from all its pages. `path` has a query.
async fn all(host: &Host, path: &str) -> Vec<Value> {
    let (mut items, mut page) = (Vec::new(), host.get(path).await);
    loop {
        items.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["next"].as_str() else { return items };
        page = host.get(&format!("{path}&cursor={next}")).await;
    }
}
