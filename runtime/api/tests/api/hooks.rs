//! `/hooks` and `/v1/deliveries`.

use serde_json::{Value, json};
use tidemill_core::clock::{Clock as _, SystemClock};

use super::world::{TestResponse, World};

const TOKEN: (&str, &str) = ("authorization", "Bearer a-long-token");
const HOOK: &str = "/hooks/shop/events";

/// A deployment `shop` with one hook that `fields` change.
async fn with_hook(fields: Value) -> World {
    let world = World::new().await;
    world.secret("events-token", "a-long-token");
    world.secret("github", "It's a Secret to Everybody");
    world.upload("shop", "1.0.0", b"\0asm webhook").await.is(201);
    deploy(&world, fields).await.is(201);
    world
}

async fn deploy(world: &World, fields: Value) -> TestResponse {
    let mut hook = json!({ "name": "events", "scheme": "token", "secret": "events-token", "id": "header:x-id" });
    for (name, value) in fields.as_object().unwrap() {
        hook[name] = value.clone();
    }
    // `null` leaves a field out.
    hook.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let secrets = ["events-token", "github", "missing"].map(|name| json!({ "name": name, "use": "hook" }));
    let manifest = json!({
        "module": "shop@1.0.0", "retry": { "attempts": 1 }, "grants": { "secrets": secrets }, "hooks": [hook],
    });
    world.put("/v1/deployments/shop", manifest).await
}

async fn deliver(world: &World, id: &str, body: &str) -> TestResponse {
    world.ask("POST", HOOK, &[TOKEN, ("x-id", id)], body.to_owned()).await
}

async fn show(world: &World, answer: &TestResponse) -> Value {
    let id = answer.json()["delivery"].as_str().unwrap().to_owned();
    world.get(&format!("/v1/deliveries/{id}")).await.is(200).json()
}

/// Waits until a delivery has an outcome.
async fn until(world: &World, answer: &TestResponse, outcome: &str) -> Value {
    loop {
        let delivery = show(world, answer).await;
        if delivery["outcome"] == outcome {
            return delivery;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_delivery_is_stored_run_and_shown() {
    let world = with_hook(json!({})).await;
    let answer = deliver(&world, "evt_1", r#"{"n":1}"#).await.is(202);
    assert_eq!(answer.json()["outcome"], "stored");
    let delivery = until(&world, &answer, "done").await;
    assert_eq!((&delivery["key"], &delivery["verified_by"]), (&json!("evt_1"), &json!("token")));
    assert_eq!((&delivery["body_bytes"], &delivery["run_count"]), (&json!(7), &json!(1)));
    let headers = delivery["headers"].to_string();
    assert!(headers.contains("x-id") && !headers.contains("a-long-token"), "{headers}");
    let run = world.get(&format!("/v1/runs/{}", delivery["last_run"].as_str().unwrap())).await.is(200).json();
    assert_eq!((&run["trigger"]["kind"], &run["trigger"]["name"]), (&json!("webhook"), &json!("events")));
    assert_eq!((&run["trigger"]["id"], &run["input"]["id"]), (&delivery["id"], &json!("evt_1")));
    let id = delivery["id"].as_str().unwrap();
    let body = world.get(&format!("/v1/deliveries/{id}/body")).await.is(200);
    assert_eq!((&body.bytes[..], body.header("content-disposition")), (&br#"{"n":1}"#[..], "attachment"));
    world.get("/v1/deliveries/01kakq3vj6x0cm4kd9be2f7h1n").await.refused(404, "host/delivery-not-found");
}

#[tokio::test]
async fn a_repeated_delivery_is_a_duplicate() {
    let world = with_hook(json!({})).await;
    let first = deliver(&world, "evt_1", "{}").await.is(202);
    let again = deliver(&world, "evt_1", "{}").await.is(200).json();
    assert_eq!((&again["outcome"], &again["delivery"]), (&json!("duplicate"), &first.json()["delivery"]));
    // The token covers no id: the same body under another one is a duplicate too.
    deliver(&world, "evt_2", "{}").await.is(200);
    deliver(&world, "evt_2", "{\"n\":2}").await.is(202);
    assert_eq!(until(&world, &first, "done").await["duplicates"], 2);
}

#[tokio::test]
async fn only_operators_see_the_reason_of_a_refusal() {
    let world = with_hook(json!({})).await;
    let missing = world.ask("POST", HOOK, &[("x-id", "1")], "{}").await;
    let wrong = world.ask("POST", HOOK, &[("authorization", "Bearer another-token"), ("x-id", "1")], "{}").await;
    assert_eq!(missing.bytes, wrong.bytes);
    missing.refused(401, "host/hook-unverified");
    deliver(&world, "two words", "{}").await.refused(400, "host/hook-unreadable");
    let hooks = world.get("/v1/deployments/shop/hooks").await.is(200).json();
    let hook = &hooks["items"][0];
    assert_eq!((&hook["name"], &hook["path"]), (&json!("events"), &json!(HOOK)));
    let refusals = hook["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 3);
    assert!(refusals.iter().all(|refusal| refusal["digest"].as_str().unwrap().starts_with("sha256:")));
    assert!(!hooks.to_string().contains("another-token"), "{hooks}");
    assert!(hook["requests"].to_string().contains(r#"{"requests":2,"result":"unverified"}"#), "{hook}");
}

#[tokio::test]
async fn a_hook_needs_a_component_that_receives_webhooks() {
    let world = World::with_hello().await;
    let hook = json!({ "name": "events", "scheme": "none" });
    let manifest = json!({ "module": "hello@1.0.0", "hooks": [hook] });
    let refused = world.put("/v1/deployments/hello", manifest).await;
    let errors = refused.json()["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/hooks/0", "{errors}");
    assert_eq!(errors[0]["code"], "host/unknown-export", "{errors}");
    assert!(errors[0]["detail"].as_str().unwrap().contains("needs the export `webhook`"), "{errors}");
    refused.is(422);
}

#[tokio::test]
async fn what_is_not_verified_writes_nothing() {
    let world = with_hook(json!({})).await;
    let before = (world.host.store().sync_count(), world.host.store().feed_range().await.unwrap());
    for n in 0..200 {
        world.ask("POST", HOOK, &[("x-id", "1")], format!("{n}")).await.is(401);
    }
    assert_eq!((world.host.store().sync_count(), world.host.store().feed_range().await.unwrap()), before);
    assert_eq!(world.get("/v1/deliveries").await.is(200).json(), json!({ "items": [] }));
}

#[tokio::test]
async fn a_hook_has_one_path_and_its_methods() {
    let world = with_hook(json!({})).await;
    for path in ["/hooks/shop/none", "/hooks/none/events", "/hooks/Shop/events", "/hooks/shop/%00"] {
        world.ask("POST", path, &[TOKEN], "{}").await.refused(404, "host/hook-not-found");
    }
    // Instances are not built.
    world.ask("POST", "/hooks/shop/one/events", &[TOKEN], "{}").await.is(404);
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = world.ask(method, HOOK, &[TOKEN], "{}").await;
        assert_eq!(answer.header("allow"), "POST");
        answer.refused(405, "host/method-not-allowed");
    }
}

#[tokio::test]
async fn a_body_has_its_bound_and_no_encoding() {
    let world = with_hook(json!({ "max_body": "1KiB" })).await;
    deliver(&world, "1", &"x".repeat(1_025)).await.refused(413, "host/body-too-large");
    let encoded = [TOKEN, ("x-id", "1"), ("content-encoding", "gzip")];
    world.ask("POST", HOOK, &encoded, "{}").await.refused(415, "host/unsupported-media-type");
    deliver(&world, "1", &"x".repeat(1_024)).await.is(202);
}

#[tokio::test]
async fn the_host_does_not_blame_the_sender_for_a_missing_secret() {
    let world = with_hook(json!({ "secret": "missing" })).await;
    let answer = deliver(&world, "1", "{}").await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.refused(503, "host/hook-unavailable");
    world.secret("missing", "a-long-token");
    deliver(&world, "1", "{}").await.is(202);
}

#[tokio::test]
async fn a_provider_is_received_whatever_its_host_and_origin() {
    let world = with_hook(json!({})).await;
    let headers = [TOKEN, ("x-id", "1"), ("host", "hooks.example.com"), ("origin", "https://provider.example")];
    world.ask("POST", HOOK, &headers, "{}").await.is(202);
}

#[tokio::test]
async fn events_that_are_not_listed_make_no_run() {
    let github = json!({ "scheme": "github", "secret": "github", "id": null, "events": ["push"] });
    let world = with_hook(github).await;
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let send = |id: &'static str, event: &'static str| {
        let headers = [("x-hub-signature-256", signature), ("x-github-delivery", id), ("x-github-event", event)];
        let world = &world;
        async move { world.ask("POST", HOOK, &headers, "Hello, World!").await }
    };
    let ignored = send("1", "star").await.is(200);
    assert_eq!(ignored.json()["outcome"], "ignored");
    let delivery = show(&world, &ignored).await;
    assert_eq!((&delivery["run_count"], &delivery["event"]), (&json!(0), &json!("star")));
    // The same body is a duplicate under another id.
    assert_eq!(send("2", "push").await.is(200).json()["outcome"], "duplicate");
}

#[tokio::test]
async fn five_valid_requests_with_wrong_times_show_a_wrong_clock() {
    let slack = json!({ "scheme": "hmac", "preset": "slack", "secret": "github", "id": null });
    let world = with_hook(slack).await;
    let send = |time: u64| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"It's a Secret to Everybody");
        let body = format!("token=x&n={time}");
        let tag = ring::hmac::sign(&key, format!("v0:{time}:{body}").as_bytes());
        let hex = tag.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let world = &world;
        async move {
            let (time, signature) = (time.to_string(), format!("v0={hex}"));
            let headers = [("x-slack-request-timestamp", time.as_str()), ("x-slack-signature", &signature)];
            world.ask("POST", HOOK, &headers, body).await
        }
    };
    let now = SystemClock.now().as_millis() / 1_000;
    let health = async || world.get("/v1/health").await.is(200).json();
    for n in 0..5 {
        assert_eq!(health().await["status"], "ok");
        send(now - 1_000 + n).await.refused(401, "host/hook-unverified");
    }
    let found = health().await;
    assert_eq!((&found["status"], &found["ready"]), (&json!("degraded"), &json!(true)));
    let reasons = found["reasons"].to_string();
    assert!(reasons.contains("fast by the last requests to hook shop/events"), "{reasons}");
    let hooks = world.get("/v1/deployments/shop/hooks").await.is(200).json();
    let offset = hooks["items"][0]["clock_offset_ms"].as_i64().unwrap();
    assert!((-1_100_000..-900_000).contains(&offset), "{offset}");
    world.get("/readyz").await.is(200);
    send(now).await.is(202);
    assert_eq!(health().await["status"], "ok");
}

#[tokio::test]
async fn deliveries_to_a_paused_deployment_wait_in_order() {
    let world = with_hook(json!({ "object": "body:/object" })).await;
    world.post("/v1/deployments/shop/pause", json!({})).await.is(200);
    let mut answers = Vec::new();
    for n in 0..5 {
        answers.push(deliver(&world, &n.to_string(), &json!({ "n": n, "object": "ch_1" }).to_string()).await.is(202));
    }
    assert_eq!(show(&world, &answers[0]).await["outcome"], "stored");
    assert_eq!(show(&world, &answers[0]).await.get("last_run"), None);
    let waiting = world.get("/v1/deliveries?deployment=shop&outcome=stored&object=ch_1").await.is(200).json();
    assert_eq!(waiting["items"].as_array().unwrap().len(), 5);
    world.delete("/v1/deployments/shop").await.is(409);
    world.post("/v1/deployments/shop/resume", json!({})).await.is(200);
    let mut started = Vec::new();
    for answer in &answers {
        let delivery = until(&world, answer, "done").await;
        let run = world.get(&format!("/v1/runs/{}", delivery["last_run"].as_str().unwrap())).await.is(200).json();
        started.push((run["started_at"].as_str().unwrap().to_owned(), run["id"].as_str().unwrap().to_owned()));
    }
    assert!(started.is_sorted(), "{started:?}");
}

#[tokio::test]
async fn a_sender_may_wait_for_the_reply_of_the_run() {
    let world = with_hook(json!({ "reply": "wait" })).await;
    let answer = deliver(&world, "1", r#"{"reply":{"status":201,"body":"hi"}}"#).await.is(201);
    assert_eq!((&answer.bytes[..], answer.header("x-own")), (&b"hi"[..], "1"));
    assert_eq!((answer.header("set-cookie"), answer.header("content-security-policy").is_empty()), ("", false));
    // A run that fails gives no reply, but the delivery is stored.
    deliver(&world, "2", r#"{"fail":"no-luck"}"#).await.is(202);
}

#[tokio::test]
async fn a_settled_delivery_is_replayed() {
    let world = with_hook(json!({})).await;
    let good = deliver(&world, "1", r#"{"n":1}"#).await.is(202);
    let first = until(&world, &good, "done").await;
    let path = format!("/v1/deliveries/{}/replay", first["id"].as_str().unwrap());
    let run = world.post(&path, json!({})).await;
    let run = run.json();
    let second = until(&world, &good, "done").await;
    assert_eq!((&second["run_count"], &second["last_run"]), (&json!(2), &run["id"]));
    assert_eq!(second["runs"], json!([first["last_run"], run["id"]]));
    let action = json!({ "action": "replay", "filter": { "deployment": "shop" } });
    let plan = world.post("/v1/deliveries/actions?dry_run=true", action.clone()).await.is(200).json();
    assert_eq!(plan, json!({ "deliveries": 1 }));
    let operation = world.post("/v1/deliveries/actions", action).await.is(202).json();
    assert_eq!(operation["action"], "replay_deliveries");
    let id = operation["id"].as_str().unwrap();
    loop {
        let operation = world.get(&format!("/v1/operations/{id}")).await.is(200).json();
        if operation["state"] == "done" {
            assert_eq!((&operation["matched"], &operation["done"]), (&json!(1), &json!(1)));
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(until(&world, &good, "done").await["run_count"], 3);
}
