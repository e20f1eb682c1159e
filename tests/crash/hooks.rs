//! `kill -9` at random times while a provider delivers: it sends each delivery again until the host
//! answers 2xx, and each delivery runs exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Host, pseudo_random};

const DELIVERIES: u64 = 400;
const SENDERS: u64 = 8;
const KILLS: u32 = 5;
const TOKEN: &str = "a-token-of-the-provider";

/// Sends the deliveries of one sender that are left, until the host dies.
async fn send(host: &Host, left: &mut Vec<u64>) -> bool {
    while let Some(number) = left.last() {
        let request = host.http.post(host.url("/hooks/shop/events")).bearer_auth(TOKEN);
        let body = json!({ "n": number }).to_string();
        match request.header("x-id", format!("evt_{number}")).body(body).send().await {
            Ok(answer) if answer.status().is_success() => drop(left.pop()),
            // The host starts or stops, or its queue is full.
            Ok(answer) => assert!(matches!(answer.status().as_u16(), 429 | 503), "{}", answer.status()),
            Err(_) => return false,
        }
    }
    true
}

async fn all(host: &Host) -> Vec<Value> {
    let (mut items, mut page) = (Vec::new(), host.get("/v1/deliveries?limit=500").await);
    loop {
        items.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["next"].as_str() else { return items };
        page = host.get(&format!("/v1/deliveries?limit=500&cursor={next}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_runs_once_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(vec![("TIDEMILL_SECRET_PROVIDER", TOKEN.to_owned())]);
    host.resume().await;
    host.upload("worlds", tidemill_artifacts::all_worlds()).await;
    let manifest = json!({
        "module": "worlds@1.0.0", "concurrency": 8, "queue": 20, "health": { "enabled": false },
        "grants": { "secrets": [{ "name": "provider", "use": "hook" }] },
        "hooks": [{ "name": "events", "scheme": "token", "secret": "provider", "id": "header:x-id" }],
    });
    host.deploy("shop", &manifest).await;
    let mut left: Vec<Vec<u64>> =
        (0..SENDERS).map(|sender| (0..DELIVERIES).filter(|n| n % SENDERS == sender).collect()).collect();
    let mut random = pseudo_random(7);
    for kill in 0..=KILLS {
        let pause = Duration::from_millis(40 + random(160));
        let sending = futures_util::future::join_all(left.iter_mut().map(|left| send(&host, left)));
        if kill == KILLS {
            assert!(sending.await.into_iter().all(|all| all), "{}", host.output());
            break;
        }
        let _ = tokio::time::timeout(pause, sending).await;
        host.kill();
        host.resume().await;
    }
    host.wait_until_none_is(&["queued", "running"], crate::host::PATIENCE).await;
    let deliveries = loop {
        let deliveries = all(&host).await;
        if deliveries.iter().all(|one| one["outcome"] == "done") {
            break deliveries;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut runs: BTreeMap<&str, u64> = BTreeMap::new();
    for delivery in &deliveries {
        assert_eq!(delivery["run_count"], 1, "{delivery}");
        *runs.entry(delivery["key"].as_str().unwrap()).or_default() += 1;
    }
    assert!(runs.values().all(|count| *count == 1), "{runs:?}");
    assert_eq!(runs.len() as u64, DELIVERIES);
}
