//! Self-healing on the real binary: what is detected, which step is taken, and what the incident
//! tells. The crash tests kill the host in the middle of a repair.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::Host;

fn manifest(health: &str) -> Value {
    json!({ "config": { "health": health }, "health": { "every": "1s" }, "retry": "never" })
}

impl Host {
    async fn incidents(&self) -> Vec<Value> {
        self.get("/v1/incidents?state=all").await["items"].as_array().unwrap().clone()
    }

    async fn wait_until_incident(&self, number: u64, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/incidents/{number}");
        self.wait_until_path("/v1/incidents?state=all", |page| {
            page["items"].as_array().unwrap().iter().any(|incident| incident["number"] == number)
        })
        .await;
        self.wait_until_path(&path, holds).await;
        self.get(&path).await
    }

    /// Deploys a revision that works, and waits until that is known.
    async fn deploy_proven(&self, name: &str, turn: u64) {
        let mut good = manifest("healthy");
        good["labels"] = json!({ "turn": turn.to_string() });
        self.deploy_hostile(name, good).await;
        self.wait_until_path(&format!("/v1/health/deployments/{name}"), |health| {
            health["results"].as_array().unwrap().iter().take(5).filter(|result| result["status"] == "healthy").count()
                == 5
        })
        .await;
    }
}

fn ladder(incident: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    incident["repairs"].as_array().unwrap().iter().map(|it| (text(&it["step"]), text(&it["result"]))).collect()
}

fn count(incident: &Value, event: &str) -> usize {
    incident["timeline"].as_array().unwrap().iter().filter(|entry| entry["event"] == event).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_revision_under_load_fails_few_runs_after_its_detection() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_proven("shop", 1).await;
    host.deploy_hostile("shop", json!({ "limits": { "fuel": 1_000 }, "health": { "every": "1s" }, "retry": "never" }))
        .await;
    // The load begins with the bad revision, and stays.
    let mut failed = Vec::new();
    for request in 0..400 {
        let (status, run) = host.try_invoke("shop", &json!({ "do": "spin", "count": 10_000 })).await;
        if status == 200 && run["state"] != "succeeded" {
            failed.push(request);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let incident = host.wait_until_incident(1, |incident| incident["phase"] == "resolved").await;
    assert_eq!(ladder(&incident), [("rollback".to_owned(), "effective".to_owned())], "{incident:#}");
    assert!(failed.len() <= 20, "the breaker holds runs back and the rollback ends it: {failed:?}");
    assert!(*failed.last().unwrap() < 300, "{failed:?}");
    let shown = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["incidents", "show", "1"])
        .env("TIDEMILL_URL", host.url(""))
        .env_remove("TIDEMILL_TOKEN")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("revision 2 → 3, which is as 1"), "{shown}");
}

/// Deploys `slow`, `leak` and `queue` with an interval of one second, and gives them a history.
async fn usual(host: &Host) {
    let every = json!({ "every": "1s", "enabled": false });
    for name in ["slow", "leak", "queue"] {
        host.deploy_hostile(name, json!({ "health": every, "concurrency": 1, "limits": { "memory": "32MiB" } })).await;
    }
    for _ in 0..6 {
        for _ in 0..12 {
            host.invoke("slow", &json!({ "do": "noop" })).await;
            host.invoke("leak", &json!({ "do": "use", "bytes": 1 << 20 })).await;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Repeats something until there is an open incident of the deployment with one of those figures.
async fn until_warned(host: &Host, name: &str, expected: &[&str], mut act: impl AsyncFnMut()) -> Value {
    let path = format!("/v1/incidents?deployment={name}");
    for _ in 0..200 {
        act().await;
        let page = host.get(&path).await;
        if let Some(incident) = page["items"].as_array().unwrap().first() {
            let incident = host.get(&format!("/v1/incidents/{}", incident["number"])).await;
            let figures = incident["timeline"][0]["evidence"]["figures"].as_array().unwrap().clone();
            assert!(figures.iter().any(|found| expected.contains(&found["name"].as_str().unwrap())), "{incident:#}");
            assert_eq!((&incident["severity"], ladder(&incident)), (&json!("warning"), vec![]), "{incident:#}");
            return incident;
        }
    }
    panic!("{name}: {}", host.get(&format!("/v1/health/deployments/{name}")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_module_a_leak_and_a_growing_queue_are_warnings_that_end_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    usual(&host).await;
    assert_eq!(host.incidents().await, Vec::<Value>::new());
    let spin = json!({ "do": "spin-ms", "ms": 120 });
    let slow = until_warned(&host, "slow", &["duration", "fuel"], async || {
        host.invoke("slow", &spin).await;
    });
    slow.await;
    let much = json!({ "do": "use", "bytes": 30 << 20 });
    let leak = until_warned(&host, "leak", &["memory"], async || {
        host.invoke("leak", &much).await;
    });
    leak.await;
    let mut number = 0;
    let long = json!({ "do": "spin-ms", "ms": 50 });
    let queue = until_warned(&host, "queue", &["queue-length"], async || {
        for _ in 0..15 {
            number += 1;
            host.request_surely("queue", &format!("q-{number}"), &long).await;
        }
    });
    queue.await;
    // Each ends as soon as the cause does.
    host.wait_until_none_is(&["queued", "running"], Duration::from_secs(120)).await;
    for name in ["slow", "leak", "queue"] {
        let noop = json!({ "do": "noop" });
        let path = format!("/v1/incidents?deployment={name}");
        while !host.get(&path).await["items"].as_array().unwrap().is_empty() {
            host.invoke(name, &noop).await;
        }
    }
    assert!(host.incidents().await.iter().all(|incident| ladder(incident).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_upstream_is_tried_again_and_the_deployment_recovers_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(vec![("TIDEMILL_EGRESS_PRIVATE", "all".to_owned())]);
    host.resume().await;
    // A port without a listener, until the upstream comes back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    host.deploy_hostile(
        "shop",
        json!({
            "grants": { "http": [url] }, "health": { "every": "1s", "enabled": false },
            "retry": { "attempts": 1, "then": "fail" },
        }),
    )
    .await;
    let fetch = json!({ "do": "fetch", "url": format!("{url}/"), "timeout_ms": 1_000 });
    while host.incidents().await.is_empty() {
        host.try_invoke("shop", &fetch).await;
    }
    let incident = host.get("/v1/incidents/1").await;
    assert_eq!((&incident["cause"], &incident["severity"]), (&json!("upstream"), &json!("critical")), "{incident:#}");
    let upstream = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = upstream.accept().await.unwrap();
            let mut request = [0; 2_048];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    // Callers come back, and the step `retry` lets them try.
    while !host.incidents().await[0]["ended_at"].is_string() {
        host.try_invoke("shop", &fetch).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let incident = host.get("/v1/incidents/1").await;
    assert_eq!(ladder(&incident), [("retry".to_owned(), "effective".to_owned())], "{incident:#}");
    assert_eq!(incident["phase"], "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_deployment_does_not_affect_twenty_healthy_ones() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    for number in 0..20 {
        host.deploy_hostile(&format!("good-{number}"), manifest("healthy")).await;
    }
    host.deploy_hostile("bad", manifest("trap")).await;
    host.wait_until_incident(1, |incident| count(incident, "repaired") > 0).await;
    for number in 0..20 {
        host.invoke(&format!("good-{number}"), &json!({ "do": "noop" })).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let incidents = host.incidents().await;
    assert!(incidents.iter().all(|incident| incident["deployment"] == "bad"), "{incidents:#?}");
}
