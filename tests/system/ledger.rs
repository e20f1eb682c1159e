//! The ledger under kills: an external id posts once, each total is the sum of its entries, no
//! account ends below its floor, and no budget is exceeded.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Host, pseudo_random};

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_lost_or_doubled_though_the_host_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("shop", json!({ "concurrency": 16, "breaker": false, "healing": "off" })).await;
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
    let check = host.check_ledger().await;
    assert_eq!((&check["entries"], &check["problems"]), (&json!(60), &json!([])), "{check}");
    let streams = host.get("/v1/streams").await;
    let expected: i64 = (0..60).map(|order| 100 + order).sum();
    assert!(streams.to_string().contains(&format!(":{expected}")), "{streams}");
}

/// Requests runs of `shop` that each reserve one cent, and kills the host after each `every`
/// requests. Returns how many held; the others failed with the code `refusal`.
async fn reserve_under_kills(host: &mut Host, seed: u64, count: u64, every: u64, entry: Value, refusal: &str) -> u64 {
    let mut random = pseudo_random(seed);
    let mut ids = Vec::new();
    for number in 0..count {
        let mut input = json!({ "do": "post", "external_id": format!("job-{number}"), "amount": 1, "reserve": true });
        input.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
        ids.push(host.request_surely("shop", &number.to_string(), &input).await);
        if number % every == every - 1 {
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
            _ => assert_eq!(run["failure"]["code"], refusal, "{run}"),
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reserver_takes_an_account_below_its_floor_though_the_host_is_killed() {
    const CREDIT: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("shop", json!({ "concurrency": 16, "breaker": false, "healing": "off" })).await;
    host.grant("shop", "c", CREDIT).await;
    let entry = json!({ "kind": "drawdown", "customer": "c" });
    let held = reserve_under_kills(&mut host, 12, 2 * CREDIT, 50, entry, "host/insufficient-balance").await;
    assert_eq!(held, CREDIT);
    assert_eq!(host.balance("c").await, (0, 100));
    // The grant is entry 1, and each reservation is one entry.
    for sequence in 1..=101 {
        assert_eq!(host.balance(&format!("c&as_of={sequence}")).await, (101 - sequence, sequence - 1));
    }
    let check = host.check_ledger().await;
    assert_eq!((&check["entries"], &check["problems"]), (&json!(101), &json!([])), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reserver_exceeds_a_budget_though_the_host_is_killed() {
    const LIMIT: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let budget = json!({ "name": "cap", "unit": "EUR", "limit": "0.60", "per": "deployment", "period": "month" });
    // The guest dates all of them 1970, so that they are in one period.
    // Refusals are failures here, and neither the circuit breaker nor a repair may hold runs back.
    let manifest =
        json!({ "concurrency": 16, "retry": "never", "budgets": [budget], "breaker": false, "healing": "off" });
    host.deploy_hostile("shop", manifest).await;
    let entry = json!({ "kind": "usage" });
    let held = reserve_under_kills(&mut host, 13, 2 * LIMIT, 40, entry, "host/budget-exceeded").await;
    assert_eq!(held, LIMIT);
    let entry = host.get("/v1/ledger/entries?stream=shop&limit=1").await["items"][0].clone();
    let at = entry["occurred_at"].as_str().unwrap();
    let cap = host.get(&format!("/v1/budgets/shop/cap?at={at}")).await;
    assert_eq!((&cap["held"]["amount"], &cap["left"]["amount"]), (&json!("0.60"), &json!("0.00")), "{cap}");
    let check = host.check_ledger().await;
    assert_eq!(check["problems"], json!([]), "{check}");
}
