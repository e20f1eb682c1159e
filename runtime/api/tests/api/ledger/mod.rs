//! `/v1/streams` and `/v1/ledger`.

mod balances;
mod budgets;
pub(crate) mod reports;

use serde_json::json;
use tidemill_core::money::{EntryCall, EntryKind};
use tidemill_store::records::NewEntry;

use self::reports::{at, entry, filled};
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

    // Only a deployment that may post adds its fuel.
    world.put("/v1/deployments/zoo", json!({"module": "shop@1.0.0"})).await;
    world.ask("POST", "/v1/deployments/zoo/runs", &[("prefer", "wait=20")], "{}").await;
    let fuel = world.get("/v1/ledger/fuel").await.is(200).json();
    let net_revenue = json!({"minor_units": 5997, "amount": "59.97", "currency": "EUR", "exponent": 2});
    let revenue = json!([{"net_revenue": net_revenue, "per_million_fuel": "19990.0000"}]);
    let [shop, other] = fuel["streams"].as_array().unwrap().as_slice() else { panic!("{fuel}") };
    assert_eq!(shop, &json!({"stream": "shop", "runs": 3, "fuel": 3_000, "revenue": revenue}));
    assert_eq!((&other["runs"], &other["revenue"][0]["per_million_fuel"]), (&json!(0), &json!(null)));
    let before = world.get("/v1/ledger/fuel?stream=shop&end=2020-01-01T00:10:00Z").await.is(200).json();
    assert_eq!((&before["streams"], &before["range"]["end"]), (&json!([]), &json!("2020-01-01T00:15:00.000Z")));
    let paper = world.get("/v1/ledger/fuel?stream=shop&paper=true").await.is(200).json();
    assert_eq!(paper["streams"], json!([]));
    world.get("/v1/ledger/fuel?as_of=1").await.refused(400, "host/bad-query");

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

#[tokio::test]
async fn the_head_is_the_number_and_hash_of_the_last_entry() {
    let world = World::new().await;
    let none = json!({"sequence": 0, "hash": "0".repeat(64)});
    assert_eq!(world.get("/v1/ledger/head").await.is(200).json(), none);
    let world = filled().await;
    let head = world.get("/v1/ledger/head").await.is(200).json();
    let last = world.get("/v1/ledger/entries/6").await.is(200).json()["entry"].clone();
    assert_eq!(head, json!({"sequence": 6, "hash": last["hash"], "posted_at": last["posted_at"]}));
}

#[tokio::test]
async fn open_reservations_are_listed_by_age_until_their_time_is_over() {
    let world = World::new().await;
    let reserve = |id: &str, expires_at: Option<&str>| {
        let sale = entry(id, EntryKind::Usage, 500, "EUR", "2020-09-15T12:00:00Z");
        let (call, expires_at) = (EntryCall::Reserve, expires_at.map(at));
        NewEntry { call, pending: sale.legs, legs: vec![], net_revenue: 0, expires_at, ..sale }
    };
    let reserved = ["a", "b", "c"].map(|id| reserve(id, (id == "b").then_some("2021-01-01T00:00:00Z")));
    world.host.store().append_entries(reserved.to_vec(), at("2020-11-02T00:00:00Z")).await.unwrap();
    let first = world.get("/v1/ledger/reservations?limit=1").await.is(200).json();
    assert_eq!((&first["items"][0]["external_id"], &first["items"][0]["amount"]), (&json!("a"), &json!("5.00")));
    let rest = format!("/v1/ledger/reservations?cursor={}", first["next"].as_str().unwrap());
    let rest = world.get(&rest).await.is(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");
    assert_eq!((&rest["items"][0]["external_id"], &rest["next"]), (&json!("c"), &json!(null)));
}

#[tokio::test]
async fn what_is_on_paper_is_in_no_list_of_amounts_unless_it_is_asked_for() {
    let world = filled().await;
    for path in ["/v1/ledger/accounts", "/v1/streams"] {
        let names = async |query: &str| {
            let items = world.get(&format!("{path}{query}")).await.is(200).json()["items"].clone();
            let text = items.to_string();
            (text.contains("shop"), text.contains("trial"))
        };
        assert_eq!((names("").await, names("?paper=true").await), ((true, false), (false, true)), "{path}");
    }
}

#[tokio::test]
async fn a_manifest_that_would_move_a_stream_to_or_from_paper_is_refused() {
    let world = filled().await;
    world.upload("shop", "1.0.0", b"\0asm revenue-stream").await.is(201);
    let manifest =
        |paper: bool| json!({"module": "shop@1.0.0", "grants": {"ledger": true}, "ledger": {"paper": paper}});
    for (name, paper) in [("shop", false), ("trial", true)] {
        let path = format!("/v1/deployments/{name}");
        world.put(&path, manifest(!paper)).await.refused(409, "host/paper-changed");
        world.put(&path, manifest(paper)).await.is(201);
    }
    // Runs of a new stream post as its manifest has it.
    world.put("/v1/deployments/new", manifest(true)).await.is(201);
    let run = world.ask("POST", "/v1/deployments/new/runs", &[("prefer", "wait=20")], "{}").await.is(200).json();
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(world.get("/v1/ledger/entries?stream=new").await.is(200).json()["items"][0]["paper"], json!(true));
    world.put("/v1/deployments/new", manifest(false)).await.refused(409, "host/paper-changed");
}

#[tokio::test]
async fn findings_are_listed_until_they_are_explained_or_closed() {
    let world = filled().await;
    let post = async |entries: Vec<NewEntry>| {
        world.host.store().append_entries(entries, at("2020-11-03T00:00:00Z")).await.unwrap();
    };
    let refund = |id: &str, of: &str, cents| {
        let of = Some(of.to_owned());
        NewEntry { of, ..entry(id, EntryKind::Refund, cents, "EUR", "2020-10-17T12:00:00Z") }
    };
    post(vec![refund("b-2", "a-2", 8_000), refund("b-3", "nowhere", 1)]).await;
    let list = async |query: &str| {
        let items = world.get(&format!("/v1/ledger/findings{query}")).await.is(200).json()["items"].clone();
        items.as_array().unwrap().clone()
    };
    let found = list("?stream=shop").await;
    let kinds: Vec<_> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["over-refunded", "of-unknown"]);
    assert_eq!((&found[0]["subject"], &found[0]["amount"]["amount"]), (&json!("a-2"), &json!("5.00")));
    assert_eq!((&found[0]["sequence"], &found[0]["paper"]), (&json!(7), &json!(false)));
    assert_eq!(list("?paper=true").await, Vec::<serde_json::Value>::new());

    let path = format!("/v1/ledger/findings/{}/close", found[0]["number"]);
    let closed = world.post(&path, json!({"reason": "goodwill", "actor": "ann"})).await.is(200).json();
    assert_eq!((&closed["actor"], &closed["reason"]), (&json!("ann"), &json!("goodwill")));
    assert_eq!(list("?state=closed&kind=over-refunded").await, [closed]);
    world.post(&path, json!({})).await.refused(422, "host/bad-field");
    world.post("/v1/ledger/findings/99/close", json!({"reason": "x"})).await.refused(404, "host/finding-not-found");
    world.post("/v1/ledger/findings/x/close", json!({"reason": "x"})).await.refused(400, "host/bad-name");
    post(vec![entry("nowhere", EntryKind::Sale, 1, "EUR", "2020-10-17T12:00:00Z")]).await;
    assert_eq!(list("").await, Vec::<serde_json::Value>::new());
    for bad in ["state=x", "kind=x", "stream=X", "by=x"] {
        world.get(&format!("/v1/ledger/findings?{bad}")).await.refused(400, "host/bad-query");
    }
}
