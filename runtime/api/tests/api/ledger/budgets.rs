//! `/v1/budgets`.

use serde_json::{Value, json};
use tidemill_core::Clock as _;
use tidemill_core::clock::SystemClock;
use tidemill_core::money::EntryKind;

use super::reports::entry;
use crate::world::World;

fn budget(name: &str, limit: &str, per: &str) -> Value {
    json!({"name": name, "unit": "EUR", "limit": limit, "per": per, "period": "month"})
}

fn manifest(budgets: &[Value]) -> Value {
    json!({"module": "shop@1.0.0", "grants": {"ledger": true}, "budgets": budgets})
}

/// Budgets of a deployment with usage of 7.50 of the customer `c-1` in this month.
async fn deployed() -> World {
    let world = World::new().await;
    world.upload("shop", "1.0.0", b"\0asm revenue-stream").await.is(201);
    let budgets = [budget("cap", "5.00", "customer"), budget("whole", "100", "deployment")];
    world.put("/v1/deployments/shop", manifest(&budgets)).await.is(201);
    let now = SystemClock.now();
    let mut used = entry("u-1", EntryKind::Usage, 750, "EUR", &now.to_rfc3339());
    used.customer = Some("c-1".to_owned());
    world.host.store().append_entries(vec![used], now).await.unwrap();
    world
}

fn shown(budget: &Value) -> Value {
    json!([
        budget["name"],
        budget["customer"],
        budget["limit"]["amount"],
        budget["own_limit"],
        budget["used"]["amount"],
        budget["left"]["amount"]
    ])
}

#[tokio::test]
async fn budgets_are_listed_with_what_was_used() {
    let world = deployed().await;
    let list = world.get("/v1/budgets").await.is(200).json();
    let lines: Vec<_> = list["items"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        lines,
        [
            json!(["cap", null, "5.00", false, null, null]),
            json!(["cap", "c-1", "5.00", false, "7.50", "-2.50"]),
            json!(["whole", null, "100.00", false, "7.50", "92.50"]),
        ]
    );
    let whole = world.get("/v1/budgets/shop/whole").await.is(200).json();
    assert_eq!(shown(&whole), lines[2]);
    assert_eq!(
        (&whole["per"], &whole["period"], &whole["time_zone"]),
        (&json!("deployment"), &json!("month"), &json!("UTC"))
    );
    let then = world.get("/v1/budgets/shop/whole?at=2020-02-15T00:00:00Z").await.is(200).json();
    assert_eq!(then["starts_at"], "2020-02-01T00:00:00.000Z");
    assert_eq!((&then["ends_at"], &then["used"]["amount"]), (&json!("2020-03-01T00:00:00.000Z"), &json!("0.00")));
    let first = world.get("/v1/budgets?limit=1").await.is(200).json();
    let next = first["next"].as_str().unwrap();
    let second = world.get(&format!("/v1/budgets?limit=1&cursor={next}")).await.is(200).json();
    assert_eq!(shown(&second["items"][0]), lines[1]);
    let of = world.get("/v1/budgets?customer=c-2&name=cap").await.is(200).json();
    assert_eq!(shown(&of["items"][0]), json!(["cap", "c-2", "5.00", false, "0.00", "5.00"]));
    let findings = world.get("/v1/ledger/findings?kind=over-budget").await.is(200).json();
    assert_eq!(findings["items"][0]["amount"]["amount"], "2.50", "{findings}");
    let check = world.post("/v1/ledger/check", json!({})).await.is(200).json();
    assert_eq!(check["good"], true, "{check}");
}

#[tokio::test]
async fn a_customer_has_a_limit_of_its_own_until_it_is_removed() {
    let world = deployed().await;
    let path = "/v1/budgets/shop/cap/c-1";
    let set = world.put(path, json!({"limit": "8.00"})).await.is(200).json();
    assert_eq!(shown(&set), json!(["cap", "c-1", "8.00", true, "7.50", "0.50"]));
    assert_eq!(world.get(path).await.is(200).json(), set);
    let other = world.get("/v1/budgets/shop/cap/a%2Fb").await.is(200).json();
    assert_eq!(shown(&other), json!(["cap", "a/b", "5.00", false, "0.00", "5.00"]));
    let removed = world.put(path, json!({"limit": null})).await.is(200).json();
    assert_eq!(shown(&removed), json!(["cap", "c-1", "5.00", false, "7.50", "-2.50"]));
}

#[tokio::test]
async fn what_is_not_valid_is_refused_by_name() {
    let world = deployed().await;
    for query in ["customers=c", "at=x", "deployment=A", "name=A", "limit=0"] {
        world.get(&format!("/v1/budgets?{query}")).await.is(400);
    }
    world.get("/v1/budgets?deployment=nowhere").await.refused(404, "host/deployment-not-found");
    world.get("/v1/budgets/shop/none").await.refused(404, "host/budget-not-found");
    world.get("/v1/budgets/shop/whole/c-1").await.refused(404, "host/budget-not-found");
    world.put("/v1/budgets/shop/none/c-1", json!({"limit": "1"})).await.refused(404, "host/budget-not-found");
    for limit in [json!(5), json!("-1"), json!("0.001")] {
        let refused = world.put("/v1/budgets/shop/cap/c-1", json!({"limit": limit})).await.is(422).json();
        assert_eq!(refused["errors"][0]["pointer"], "/limit");
    }
    for (bad, pointer) in [
        (json!({"name": "cap", "unit": "CALLS", "limit": "1", "per": "customer", "period": "day"}), "/budgets/0/limit"),
        (json!({"name": "cap", "unit": "EUR", "limit": "1", "per": "instance", "period": "day"}), "/budgets/0/per"),
    ] {
        let refused = world.put("/v1/deployments/shop", manifest(&[bad])).await.refused(422, "host/bad-manifest");
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn a_request_without_room_in_a_budget_of_fuel_is_refused_with_429() {
    let world = World::new().await;
    world.upload("shop", "1.0.0", b"\0asm workflow").await.is(201);
    let budget =
        json!({"name": "work", "unit": "fuel", "limit": "1100", "per": "customer", "period": "day", "over": "refuse"});
    let manifest = json!({"module": "shop@1.0.0", "limits": {"fuel": 1000}, "customer_key": "/c", "budgets": [budget]});
    world.put("/v1/deployments/shop", manifest).await.is(201);
    world.post("/v1/deployments/shop/pause", json!({})).await.is(200);
    let run = async |customer: &str| world.post("/v1/deployments/shop/runs", json!({"c": customer})).await;
    run("c-1").await.is(202);
    run("c-1").await.refused(429, "host/budget-exceeded");
    run("c-2").await.is(202);
    let shown = world.get("/v1/budgets/shop/work/c-1").await.is(200).json();
    assert_eq!((&shown["over"], &shown["limit"]["amount"]), (&json!("refuse"), &json!("1100")));
    assert_eq!((&shown["held"]["amount"], &shown["left"]["amount"]), (&json!("1100"), &json!("0")));
}
