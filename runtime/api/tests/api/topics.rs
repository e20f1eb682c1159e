//! `/v1/topics` and `/v1/subscriptions`.

use serde_json::{Value, json};

use super::world::World;

/// `hello` is subscribed to `orders.*` of Germany.
async fn subscribed() -> World {
    let world = World::with_hello().await;
    let subscriptions = json!([{ "name": "placed", "topic": "orders.*", "filter": { "/country": "DE" } }]);
    let manifest = json!({"module": "hello@1.0.0", "retry": {"attempts": 1}, "subscriptions": subscriptions});
    let deployed = world.put("/v1/deployments/hello", manifest).await.is(200).json();
    assert_eq!(deployed["changes"][0]["pointer"], "/subscriptions");
    world
}

/// Waits until no event waits for the subscription; returns its record.
async fn delivered(world: &World) -> Value {
    loop {
        let subscription = world.get("/v1/subscriptions/hello/placed").await.is(200).json();
        if subscription["waiting"] == 0 {
            return subscription;
        }
        tokio::task::yield_now().await;
    }
}

async fn event_runs(world: &World) -> Vec<Value> {
    let mut runs = world.get("/v1/runs?deployment=hello").await.is(200).json();
    let mut runs = std::mem::take(runs["items"].as_array_mut().unwrap());
    runs.retain(|run| run["trigger"]["kind"] == "event");
    runs
}

#[tokio::test]
async fn an_event_is_published_once_listed_and_delivered() {
    let world = subscribed().await;
    assert_eq!(world.get("/v1/topics").await.is(200).json(), json!({ "items": [] }));
    let payload = r#"{"order":7,"country":"DE"}"#;
    let key = [("idempotency-key", "order-7"), ("content-type", "application/json")];
    let path = "/v1/topics/orders.placed/events";
    let first = world.ask("POST", path, &key, payload).await.is(202).json();
    assert_eq!((&first["topic"], &first["duplicate"]), (&json!("orders.placed"), &json!(false)));
    let again = world.ask("POST", path, &key, payload).await.is(200);
    assert_eq!((again.json()["id"].clone(), again.header("idempotency-replayed")), (first["id"].clone(), "true"));
    world.ask("POST", path, &key, "2").await.refused(422, "host/idempotency-mismatch");
    world.post(path, json!({ "order": 8, "country": "FR" })).await.is(202);

    let topics = world.get("/v1/topics").await.is(200).json();
    assert_eq!(world.get("/v1/topics/orders.placed").await.is(200).json(), topics["items"][0]);
    world.get("/v1/topics/orders.none").await.refused(404, "host/topic-not-found");
    let topic = &topics["items"][0];
    assert_eq!((&topic["topic"], &topic["events"]), (&json!("orders.placed"), &json!(2)));
    let events = world.get(&format!("{path}?limit=1")).await.is(200).json();
    assert_eq!(events["items"][0]["payload"], json!({ "order": 7, "country": "DE" }));
    assert_eq!(events["items"][0]["id"], first["id"]);
    let next = events["next"].as_str().unwrap();
    let rest = world.get(&format!("{path}?limit=1&cursor={next}")).await.is(200).json();
    assert_eq!((&rest["items"][0]["payload"]["order"], rest.get("next")), (&json!(8), None));
    let none = world.get(&format!("{path}?since=2099-01-01T00:00:00Z")).await.is(200).json();
    assert_eq!(none["items"], json!([]));

    let subscription = delivered(&world).await;
    assert_eq!((&subscription["delivered"], &subscription["filtered"]), (&json!(1), &json!(1)));
    assert_eq!(world.get("/v1/subscriptions?deployment=hello").await.is(200).json()["items"], json!([subscription]));
    world.get("/v1/subscriptions?deployment=other").await.refused(404, "host/deployment-not-found");
    let runs = event_runs(&world).await;
    assert_eq!(runs.len(), 1);
    let run = world.get(&format!("/v1/runs/{}", runs[0]["id"].as_str().unwrap())).await.is(200).json();
    assert_eq!(run["input"], json!({ "order": 7, "country": "DE" }));
    assert_eq!((&run["trigger"]["name"], &run["trigger"]["id"]), (&json!("orders.placed"), &first["id"]));
}

#[tokio::test]
async fn a_subscription_is_replayed_and_skipped() {
    let world = subscribed().await;
    for order in 0..3 {
        world.post("/v1/topics/orders.placed/events", json!({ "order": order, "country": "DE" })).await.is(202);
    }
    delivered(&world).await;
    let path = "/v1/subscriptions/hello/placed";
    let range = json!({ "since": "2020-01-01T00:00:00Z" });
    let planned = world.post(&format!("{path}/replay?dry_run=true"), range).await.is(200).json();
    assert_eq!(planned, json!({ "events": 3 }));
    assert_eq!(event_runs(&world).await.len(), 3, "a dry run makes none");
    let asked = world.post(&format!("{path}/replay"), json!({ "since": "2020-01-01T00:00:00Z" })).await.is(202);
    let operation = asked.header("location").to_owned();
    assert_eq!((&asked.json()["action"], &asked.json()["subscription"]), (&json!("replay"), &json!("placed")));
    let done = loop {
        let operation = world.get(&operation).await.is(200).json();
        if operation["state"] == "done" {
            break operation;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&done["matched"], &done["done"], &done["failed"]), (&json!(3), &json!(3), &json!(0)));
    let replayed = event_runs(&world).await.into_iter().filter(|run| run["trigger"]["details"]["replay"] == done["id"]);
    assert_eq!(replayed.count(), 3);

    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    world.post("/v1/topics/orders.placed/events", json!({ "country": "DE" })).await.is(202);
    assert_eq!(world.post(&format!("{path}/skip"), json!({})).await.is(200).json(), json!({ "skipped": 1 }));
    let skipped = world.get(path).await.is(200).json();
    assert_eq!((&skipped["skipped"], &skipped["waiting"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn a_subscription_is_paused_and_resumed() {
    let world = subscribed().await;
    let path = "/v1/subscriptions/hello/placed";
    assert_eq!(world.get(path).await.is(200).json()["state"], "active");
    world.post(&format!("{path}/resume"), json!({})).await.refused(409, "host/run-state");
    let paused = world.post(&format!("{path}/pause"), json!({ "note": "looking" })).await.is(200).json();
    assert_eq!((&paused["state"], &paused["paused"]["note"]), (&json!("paused"), &json!("looking")));
    world.post("/v1/topics/orders.placed/events", json!({ "country": "DE" })).await.is(202);
    let waits = world.get(path).await.is(200).json();
    assert_eq!((&waits["waiting"], &waits["delivered"]), (&json!(1), &json!(0)));
    let resumed = world.post(&format!("{path}/resume"), json!({})).await.is(200).json();
    assert_eq!((&resumed["state"], resumed.get("paused")), (&json!("active"), None));
    assert_eq!(delivered(&world).await["delivered"], 1);
    for verb in ["pause", "resume"] {
        let none = format!("/v1/subscriptions/hello/none/{verb}");
        world.post(&none, json!({})).await.refused(404, "host/subscription-not-found");
        world.post(&format!("{path}/{verb}"), json!({ "x": 1 })).await.refused(422, "host/unknown-field");
    }
}

#[tokio::test]
async fn unknown_topics_and_bad_requests_are_refused() {
    let world = subscribed().await;
    world.get("/v1/topics/orders.none/events").await.refused(404, "host/topic-not-found");
    world.get("/v1/topics/Orders/events").await.refused(400, "host/bad-name");
    world.post("/v1/topics/orders.*/events", json!(1)).await.refused(400, "host/bad-name");
    world
        .ask("POST", "/v1/topics/t/events", &[("content-type", "application/json")], "{")
        .await
        .refused(400, "host/bad-json");
    let long = format!("\"{}\"", "x".repeat(70_000));
    world
        .ask("POST", "/v1/topics/t/events", &[("content-type", "application/json")], long)
        .await
        .refused(413, "host/body-too-large");
    world.get("/v1/subscriptions/hello/none").await.refused(404, "host/subscription-not-found");
    let range = json!({ "since": "2026-01-31T12:00:00Z", "until": "2026-01-31T12:00:00Z" });
    world.post("/v1/subscriptions/hello/placed/replay", range.clone()).await.refused(422, "host/bad-field");
    world
        .post("/v1/subscriptions/hello/none/replay", json!({ "since": "2026-01-31T12:00:00Z" }))
        .await
        .refused(404, "host/subscription-not-found");
    world.post("/v1/subscriptions/hello/placed/replay", json!({})).await.refused(422, "host/bad-field");
    world.post("/v1/subscriptions/hello/none/skip", json!({})).await.refused(404, "host/subscription-not-found");
    world.post("/v1/subscriptions/hello/placed/skip", json!({ "x": 1 })).await.refused(422, "host/unknown-field");
    assert_eq!(world.get("/v1/topics").await.is(200).json()["items"], json!([]));
}
