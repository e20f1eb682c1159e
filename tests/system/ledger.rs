//! The ledger under kills: an external id posts once, each total is the sum of its entries, no
//! account ends below its floor, and no budget is exceeded.

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

#[tokio::test(flavor = "multi_thread")]
async fn no_reserver_takes_an_account_below_its_floor_though_the_host_is_killed() {
    const CREDIT: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("shop", json!({ "concurrency": 16 })).await;
    let grant = json!({ "external_id": "paid", "stream": "shop", "customer": "c", "amount": "1.00", "currency": "EUR",
        "kind": "prepayment", "reason": "a test", "occurred_at": "1970-01-01T00:00:00Z" });
    let posted = host.http.post(host.url("/v1/ledger/grants")).header("content-type", "application/json");
    assert!(posted.body(grant.to_string()).send().await.unwrap().status().is_success());
    let mut random = pseudo_random(12);
    let mut ids = Vec::new();
    for number in 0..2 * CREDIT {
        let input = json!({ "do": "post", "external_id": format!("job-{number}"), "kind": "drawdown", "amount": 1,
            "customer": "c", "reserve": true });
        ids.push(host.request_surely("shop", &number.to_string(), &input).await);
        if number % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(random(60))).await;
            host.kill();
            host.resume().await;
        }
    }
    let mut held = 0;
    for id in &ids {
        let run = host.settled(id).await;
        match run["state"].as_str() {
            Some("succeeded") => held += 1,
            _ => assert_eq!(run["failure"]["code"], "host/insufficient-balance", "{run}"),
        }
    }
    assert_eq!(held, CREDIT);
    let balance = async |query: &str| {
        let list = host.get(&format!("/v1/ledger/balances?customer=c{query}")).await;
        let amount = |name: &str| list["items"][0][name]["minor_units"].as_i64().unwrap();
        (amount("available"), amount("held"))
    };
    assert_eq!(balance("").await, (0, 100));
    // The grant is entry 1, and each reservation is one entry.
    for sequence in 1..=101 {
        assert_eq!(balance(&format!("&as_of={sequence}")).await, (101 - sequence, sequence - 1));
    }
    let check = host.http.post(host.url("/v1/ledger/check")).send().await.unwrap();
    let check: serde_json::Value = serde_json::from_str(&check.text().await.unwrap()).unwrap();
    assert_eq!((&check["entries"], &check["problems"]), (&json!(101), &json!([])), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reserver_exceeds_a_budget_though_the_host_is_killed() {
    const LIMIT: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let budget = json!({ "name": "cap", "unit": "EUR", "limit": "0.60", "per": "deployment", "period": "month" });
    // The guest dates all of them 1970, so that they are in one period.
    host.deploy_hostile("shop", json!({ "concurrency": 16, "retry": "never", "budgets": [budget] })).await;
    let mut random = pseudo_random(13);
    let mut ids = Vec::new();
    for number in 0..2 * LIMIT {
        let input = json!({ "do": "post", "external_id": format!("job-{number}"), "kind": "usage", "amount": 1,
            "reserve": true });
        ids.push(host.request_surely("shop", &number.to_string(), &input).await);
        if number % 40 == 39 {
            tokio::time::sleep(Duration::from_millis(random(60))).await;
            host.kill();
            host.resume().await;
        }
    }
    let mut held = 0;
    for id in &ids {
        let run = host.settled(id).await;
        match run["state"].as_str() {
            Some("succeeded") => held += 1,
            _ => assert_eq!(run["failure"]["code"], "host/budget-exceeded", "{run}"),
        }
    }
    assert_eq!(held, LIMIT);
    let entry = host.get("/v1/ledger/entries?stream=shop&limit=1").await["items"][0].clone();
    let at = entry["occurred_at"].as_str().unwrap();
    let cap = host.get(&format!("/v1/budgets/shop/cap?at={at}")).await;
    assert_eq!((&cap["held"]["amount"], &cap["left"]["amount"]), (&json!("0.60"), &json!("0.00")), "{cap}");
    let check = host.http.post(host.url("/v1/ledger/check")).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&check).unwrap()["problems"], json!([]), "{check}");
}
