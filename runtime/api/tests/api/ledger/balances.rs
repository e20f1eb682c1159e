//! Balances of customers, grants by hand and floors.

use serde_json::{Value, json};

use crate::world::World;

async fn deployed() -> World {
    let world = World::new().await;
    world.upload("shop", "1.0.0", b"\0asm revenue-stream").await.is(201);
    let floor = json!({"customer": {"EUR": "-2.00"}});
    let manifest = json!({"module": "shop@1.0.0", "grants": {"ledger": true}, "ledger": {"floor": floor}});
    world.put("/v1/deployments/shop", manifest).await.is(201);
    world
}

fn grant(id: &str, amount: &str) -> Value {
    json!({"external_id": id, "stream": "shop", "customer": "c-1", "amount": amount, "currency": "EUR",
        "reason": "an outage", "actor": "ann"})
}

#[tokio::test]
async fn a_grant_by_hand_is_posted_once_and_shows_in_the_balance() {
    let world = deployed().await;
    let first = world.post("/v1/ledger/grants", grant("gift-1", "5.00")).await.is(200).json();
    let entry = &first["entries"][0];
    assert_eq!(
        (&first["duplicate"], &entry["kind"], &entry["amount"]),
        (&json!(false), &json!("promotion"), &json!("5.00"))
    );
    assert_eq!((&entry["evidence"]["actor"], &entry["evidence"]["reason"]), (&json!("ann"), &json!("an outage")));
    let again = world.post("/v1/ledger/grants", grant("gift-1", "5.00")).await.is(200).json();
    assert_eq!((&again["duplicate"], &again["entries"]), (&json!(true), &first["entries"]));
    world.post("/v1/ledger/grants", grant("gift-1", "6.00")).await.refused(409, "host/external-id-conflict");
    let mut paid = grant("paid-1", "10.00");
    (paid["kind"], paid["priority"]) = (json!("prepayment"), json!(7));
    world.post("/v1/ledger/grants", paid).await.is(200);

    let list = world.get("/v1/ledger/balances?customer=c-1").await.is(200).json();
    let [balance] = list["items"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!(balance["available"], json!({"minor_units": 1500, "amount": "15.00", "currency": "EUR", "exponent": 2}));
    assert_eq!((&balance["floor"]["amount"], &balance["own_floor"]), (&json!("-2.00"), &json!(false)));
    let ids: Vec<_> = balance["grants"].as_array().unwrap().iter().map(|grant| &grant["external_id"]).collect();
    assert_eq!(ids, [&json!("paid-1"), &json!("gift-1")], "in the order of usage");
    let then = world.get("/v1/ledger/balances?stream=shop&as_of=1").await.is(200).json();
    assert_eq!(then["items"][0]["available"]["amount"], "5.00");
    assert_eq!(world.get("/v1/ledger/balances?customer=c-2").await.is(200).json()["items"], json!([]));
    let check = world.post("/v1/ledger/check", json!({})).await.is(200).json();
    assert_eq!(check["good"], true, "{check}");
}

#[tokio::test]
async fn a_customer_has_a_floor_of_its_own_until_it_is_removed() {
    let world = deployed().await;
    let floor = |floor: Value| json!({"stream": "shop", "customer": "c-1", "currency": "EUR", "floor": floor});
    let set = world.put("/v1/ledger/floors", floor(json!("-5.00"))).await.is(200).json();
    assert_eq!((&set["floor"]["amount"], &set["own_floor"]), (&json!("-5.00"), &json!(true)));
    world.post("/v1/ledger/grants", grant("gift-1", "5.00")).await.is(200);
    let shown = async || world.get("/v1/ledger/balances").await.is(200).json()["items"][0]["floor"]["amount"].clone();
    assert_eq!(shown().await, "-5.00");
    let removed = world.put("/v1/ledger/floors", floor(json!(null))).await.is(200).json();
    assert_eq!((&removed["floor"]["amount"], &removed["own_floor"]), (&json!("-2.00"), &json!(false)));
    assert_eq!(shown().await, "-2.00");
}

#[tokio::test]
async fn what_is_not_valid_is_refused_by_name() {
    let world = deployed().await;
    for query in ["customer=", "as_of=x", "stream=A", "limit=0", "customers=c"] {
        world.get(&format!("/v1/ledger/balances?{query}")).await.is(400);
    }
    world.get("/v1/ledger/balances?stream=nowhere").await.refused(404, "host/deployment-not-found");
    let mut unknown = grant("gift-1", "5.00");
    unknown["stream"] = json!("nowhere");
    world.post("/v1/ledger/grants", unknown).await.refused(404, "host/deployment-not-found");
    world.post("/v1/ledger/grants", grant("gift-1", "-5.00")).await.refused(422, "host/wrong-sign");
    world.post("/v1/ledger/grants", grant("gift/expired", "5.00")).await.refused(422, "host/bad-entry");
}

#[tokio::test]
async fn a_floor_in_an_unknown_unit_is_refused_at_the_deployment() {
    let world = deployed().await;
    let floor = json!({"customer": {"TOKENS": "1"}});
    let manifest = json!({"module": "shop@1.0.0", "ledger": {"floor": floor}});
    let refused = world.put("/v1/deployments/shop", manifest).await.refused(422, "host/bad-manifest");
    assert_eq!(refused["errors"][0]["pointer"], "/ledger/floor/customer/TOKENS");
}
