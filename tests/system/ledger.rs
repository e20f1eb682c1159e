//! The ledger under kills: an external id posts once, and each total is the sum of its entries.

use std::time::Duration;

use serde_json::json;

use crate::host::{Host, pseudo_random};

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_lost_or_doubled_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("shop", json!({ "concurrency": 16 })).await;
    let mut random = pseudo_random(11);
    let mut ids = Vec::new();
    for order in 0..60 {
        // Two runs post each order. The second posting is a duplicate.
        for copy in 0..2 {
            let input = json!({ "do": "post", "external_id": format!("order-{order}"), "amount": 100 + order });
            ids.push(host.request_surely("shop", &format!("{order}-{copy}"), &input).await);
        }
        if order % 12 == 11 {
            tokio::time::sleep(Duration::from_millis(random(60))).await;
            host.kill();
            host.resume().await;
        }
    }
    for id in &ids {
        let run = host.settled(id).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let check = host.http.post(host.url("/v1/ledger/check")).send().await.unwrap();
    assert!(check.status().is_success());
    let check: serde_json::Value = serde_json::from_str(&check.text().await.unwrap()).unwrap();
    assert_eq!((&check["entries"], &check["problems"]), (&json!(60), &json!([])), "{check}");
    let streams = host.get("/v1/streams").await;
    let expected: i64 = (0..60).map(|order| 100 + order).sum();
    assert!(streams.to_string().contains(&format!(":{expected}")), "{streams}");
}
