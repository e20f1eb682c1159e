//! `Idempotency-Key`: every `POST` honours it, or refuses it.

use serde_json::{Value, json};

use super::world::{TestResponse, World};

const KEY: [(&str, &str); 2] = [("idempotency-key", "once"), ("content-type", "application/json")];

/// A world with a schedule, a subscription and one event that was delivered.
async fn world() -> World {
    let world = World::with_hello().await;
    let manifest = json!({
        "module": "hello@1.0.0",
        "retry": {"attempts": 1},
        "schedules": [{"name": "yearly", "cron": "0 0 1 1 *"}],
        "subscriptions": [{"name": "placed", "topic": "orders.placed"}],
    });
    world.put("/v1/deployments/hello", manifest).await.is(200);
    world
}

impl World {
    async fn keyed(&self, path: &str, body: &Value) -> TestResponse {
        self.ask("POST", path, &KEY, body.to_string()).await
    }
}

/// Returns a route's path with valid names that no resource has.
fn path_of(route: &str) -> String {
    let part = |part: &str| match part.trim_matches(['{', '}']) {
        "id" => "01jzzzzzzzzzzzzzzzzzzzzzzz".to_owned(),
        "revision" | "number" => "1".to_owned(),
        "period" => "2026-10".to_owned(),
        name if part.starts_with('{') => name.replace('_', "-"),
        name => name.to_owned(),
    };
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_post_honours_a_key_or_refuses_it() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await.is(200).json();
    let mut refused = Vec::new();
    for (route, methods) in tidemill_api::ROUTES {
        // A provider sends what headers it likes to a hook, which has ids of its own.
        if !methods.contains(&"post") || route.starts_with("/hooks/") {
            continue;
        }
        let operation = &document["paths"][route]["post"];
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let honours = parameters.iter().any(|one| one["name"] == "Idempotency-Key");
        let answered = world.ask("POST", &path_of(route), &KEY, "").await;
        let refuses = answered.status == 400
            && answered.json()["detail"].as_str().unwrap().contains("does not take an `idempotency-key`");
        assert_ne!(honours, refuses, "{route}: {answered:?}");
        if refuses {
            refused.push(*route);
        }
    }
    assert!(refused.contains(&"/v1/runs/{id}/cancel") && refused.contains(&"/v1/runs/{id}/retry"), "{refused:?}");
}

#[tokio::test]
async fn one_key_starts_one_operation() {
    let world = world().await;
    let range = |since: &str| json!({"since": format!("{since}T00:00:00Z"), "until": "2026-02-01T00:00:00Z"});
    let year = |end: &str| json!({"start": "2020-01-01T00:00:00Z", "end": end});
    for (path, body, other) in [
        ("/v1/subscriptions/hello/placed/replay", range("2026-01-01"), range("2026-01-02")),
        (
            "/v1/runs/actions",
            json!({"action": "cancel", "filter": {"deployment": "hello"}}),
            json!({"action": "terminate", "filter": {"deployment": "hello"}}),
        ),
        (
            "/v1/schedules/actions",
            json!({"action": "pause", "filter": {"all": true}}),
            json!({"action": "resume", "filter": {"all": true}}),
        ),
        ("/v1/schedules/hello/yearly/backfill", year("2021-02-01T00:00:00Z"), year("2022-02-01T00:00:00Z")),
    ] {
        let first = world.keyed(path, &body).await.is(202);
        let again = world.keyed(path, &body).await.is(202);
        assert_eq!(first.json()["id"], again.json()["id"], "{path}");
        world.keyed(path, &other).await.refused(422, "host/idempotency-mismatch");
        let without = world.post(path, body).await.is(202);
        assert_ne!(first.json()["id"], without.json()["id"], "{path}");
    }
}

#[tokio::test]
async fn one_key_triggers_a_schedule_once() {
    let world = world().await;
    let path = "/v1/schedules/hello/yearly/trigger";
    let first = world.ask("POST", path, &KEY, "").await.is(202);
    let again = world.ask("POST", path, &KEY, "").await.is(202);
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(world.get("/v1/schedules/hello/yearly").await.is(200).json()["by_hand"], 1);
    // The key belongs to the deployment, like the key of a run that was started.
    world.ask("POST", "/v1/deployments/hello/runs", &[("idempotency-key", "started")], "{}").await.is(202);
    let taken = world.ask("POST", path, &[("idempotency-key", "started")], "").await;
    taken.refused(422, "host/idempotency-mismatch");
}
