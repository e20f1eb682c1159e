//! `/v1/streams` and `/v1/ledger`.

mod reports;

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn revenue_is_shown_everywhere_and_adds_up() {
    let world = World::new().await;
    world.upload("shop", "1.0.0", b"\0asm revenue-stream").await.is(201);
    world.put("/v1/deployments/shop", json!({"module": "shop@1.0.0", "grants": {"ledger": true}})).await.is(201);
    let streams = world.get("/v1/streams").await.is(200).json();
    assert_eq!(streams["items"], json!([{"name": "shop", "deployed": true, "totals": []}]));
    for _ in 0..3 {
        let run = world.ask("POST", "/v1/deployments/shop/runs", &[("prefer", "wait=20")], "{}").await.is(200).json();
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let stream = world.get("/v1/streams").await.json()["items"][0].clone();
    let totals = json!([{"currency": "EUR", "net_revenue": 5997, "amount": "59.97", "exponent": 2, "entries": 3}]);
    assert_eq!(stream["totals"], totals);
    assert!(stream["collected_until"].is_string());

    let entries = world.get("/v1/ledger/entries?stream=shop").await.is(200).json();
    let entry = &entries["items"][0];
    assert_eq!(entries["items"].as_array().unwrap().len(), 3);
    assert_eq!((&entry["kind"], &entry["metadata"]), (&json!("sale"), &json!({"isbn": "1"})));
    let legs: i64 = entry["legs"].as_array().unwrap().iter().map(|leg| leg["minor_units"].as_i64().unwrap()).sum();
    assert_eq!(legs, 0);
    let page = world.get("/v1/ledger/entries?limit=2").await.is(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        world.get(&format!("/v1/ledger/entries?limit=2&cursor={next}")).await.json()["items"].as_array().unwrap().len(),
        1
    );

    let accounts = world.get("/v1/ledger/accounts?stream=shop").await.is(200).json();
    let sum: i64 = accounts["items"].as_array().unwrap().iter().map(|one| one["minor_units"].as_i64().unwrap()).sum();
    assert_eq!(sum, 0);
    let revenue = world.get("/v1/ledger/revenue?stream=shop").await.is(200).json();
    assert_eq!(revenue["totals"], totals);
    let before = world.get("/v1/ledger/revenue?stream=shop&end=2020-01-01T00:00:00Z").await.is(200).json();
    assert_eq!(before["totals"], json!([]));
    let check = world.post("/v1/ledger/check", json!({})).await.is(200).json();
    assert_eq!((&check["good"], &check["entries"]), (&json!(true), &json!(3)));

    // The deployment is deleted; its entries remain.
    world.delete("/v1/deployments/shop").await.is(204);
    let gone = world.get("/v1/streams").await.json()["items"][0].clone();
    assert_eq!((&gone["deployed"], &gone["totals"]), (&json!(false), &totals));
}

#[tokio::test]
async fn a_bad_range_is_refused() {
    let world = World::new().await;
    for query in ["?stream=A", "?stream=a&start=x", "?stream=a&start=2026-02-01T00:00:00Z&end=2026-01-01T00:00:00Z"] {
        world.get(&format!("/v1/ledger/revenue{query}")).await.refused(400, "host/bad-query");
    }
}
