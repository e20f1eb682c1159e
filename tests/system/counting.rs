//! Runs that read a counter and write it back plus one. None is lost and none counts twice, even if
//! the host is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::host::{Host, pseudo_random};

const RUNS: usize = 200;

fn count() -> Value {
    json!({ "do": "counter", "key": "n" })
}

async fn counter(host: &Host, deployment: &str) -> Value {
    host.invoke(deployment, &json!({ "do": "get", "key": "n" })).await["output"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_two_hundred_after_two_hundred_concurrent_synchronous_runs() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("counter", json!({ "concurrency": 64 })).await;
    let input = count();
    let runs = join_all((0..RUNS).map(|_| host.invoke("counter", &input))).await;
    for run in &runs {
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    assert_eq!(counter(&host, "counter").await, json!(RUNS));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_add_to_one_key_take_turns_instead_of_being_repeated() {
    const MANY: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("counter", json!({ "concurrency": 64 })).await;
    let input = count();
    let runs = join_all((0..MANY).map(|_| host.invoke("counter", &input))).await;
    assert!(runs.iter().all(|run| run["state"] == "succeeded"));
    assert_eq!(counter(&host, "counter").await, json!(MANY));
    let redone = host.metric("tidemill_transaction_retries_total", "counter").await;
    // Runs that were active when the key became contended are repeated. Later runs take turns.
    assert!(redone < MANY as f64 / 2.0, "{redone} of {MANY} runs were repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_two_hundred_after_two_hundred_queued_runs_though_the_host_is_killed_repeatedly() {
    let dir = tempfile::tempdir().unwrap();
    let host = Arc::new(RwLock::new(Host::start(dir.path()).await));
    host.read().await.deploy_hostile("counter", json!({ "concurrency": 64 })).await;
    let over = Arc::new(AtomicBool::new(false));
    let killer = tokio::spawn({
        let (host, over) = (host.clone(), over.clone());
        async move {
            let mut random = pseudo_random(7);
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) || kills < 5 {
                // A run that is active at three kills is a crash suspect. The pause prevents that.
                tokio::time::sleep(Duration::from_millis(300 + random(500))).await;
                let mut host = host.write().await;
                host.kill();
                host.resume().await;
                kills += 1;
                if kills == 15 {
                    break;
                }
            }
            kills
        }
    });
    let mut ids = Vec::new();
    for number in 0..RUNS {
        let host = host.read().await;
        ids.push(host.request_surely("counter", &format!("key-{number}"), &count()).await);
    }
    over.store(true, Ordering::Relaxed);
    let kills = killer.await.unwrap();
    assert!(kills >= 5, "the host was killed {kills} times");
    let host = host.read().await;
    for id in &ids {
        let run = host.settled(id).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    assert_eq!(counter(&host, "counter").await, json!(RUNS));
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_runs_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("echo", json!({})).await;
    let mut answered = Vec::new();
    for round in 0..3 {
        let inputs: Vec<Value> = (0..40).map(|n| json!({ "do": "echo", "value": [round, n] })).collect();
        answered.extend(join_all(inputs.iter().map(|input| host.invoke("echo", input))).await);
        host.kill();
        host.resume().await;
    }
    for run in &answered {
        let id = run["id"].as_str().unwrap();
        assert_eq!(host.get(&format!("/v1/runs/{id}/output")).await, run["output"]);
        assert_eq!(&host.get(&format!("/v1/runs/{id}")).await, run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_honoured_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("counter", json!({})).await;
    let first = host.request_surely("counter", "once", &count()).await;
    host.kill();
    host.resume().await;
    assert_eq!(host.request_surely("counter", "once", &count()).await, first);
    host.settled(&first).await;
    assert_eq!(counter(&host, "counter").await, json!(1));
}
