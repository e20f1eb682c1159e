//! `/v1/deployments`.

use serde_json::{Value, json};

use super::world::World;

const BREAKER: &str = "/v1/deployments/hello/breaker";

#[tokio::test]
async fn a_change_creates_a_revision_and_lists_its_changes() {
    let world = World::with_hello().await;
    let same = world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "retry": {"attempts": 1}})).await;
    assert_eq!(same.is(200).json()["deployment"]["revision"], 1);

    let manifest = json!({"module": "hello@1.0.0", "priority": 7, "schedules": [{"name": "often", "every": "1h"}]});
    let changed = world.put("/v1/deployments/hello", manifest.clone()).await.is(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    let changed = changed.json();
    assert_eq!(changed["created"], false);
    let priority = changed["changes"].as_array().unwrap().iter().find(|change| change["pointer"] == "/priority");
    assert_eq!(priority, Some(&json!({"pointer": "/priority", "from": 5, "to": 7})));
    assert_eq!(changed["schedules"][0]["name"], "often");
    assert!(changed["schedules"][0]["firings"].as_array().unwrap().len() == 20);

    let shown = world.get("/v1/deployments/hello").await.is(200);
    assert_eq!(shown.header("etag"), "\"2\"");
    assert_eq!(shown.json()["manifest"]["priority"], 7);
    let revisions = world.get("/v1/deployments/hello/revisions").await.is(200).json();
    let numbers: Vec<_> = revisions["items"].as_array().unwrap().iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(numbers, [2, 1]);
    let listed = world.get("/v1/deployments").await.is(200).json();
    assert_eq!(listed["items"][0]["name"], "hello");
    assert!(listed["items"][0].get("manifest").is_none());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let world = World::with_hello().await;
    let manifest = json!({"module": "hello@1.0.0", "priority": 2});
    let dry = world.put("/v1/deployments/hello?dry_run=true", manifest.clone()).await.is(200).json();
    assert_eq!(dry["dry_run"], true);
    assert!(!dry["changes"].as_array().unwrap().is_empty());
    assert_eq!(world.get("/v1/deployments/hello").await.json()["revision"], 1);
    world.put("/v1/deployments/other?dry_run=true", manifest).await.is(200);
    world.get("/v1/deployments/other").await.refused(404, "host/deployment-not-found");
}

#[tokio::test]
async fn a_failed_precondition_is_refused() {
    let world = World::with_hello().await;
    let put = async |header: (&str, &str), path: &str| {
        world.ask("PUT", path, &[header], json!({"module": "hello@1.0.0", "priority": 3}).to_string()).await
    };
    let hello = "/v1/deployments/hello";
    let problem = put(("if-match", "\"9\""), hello).await.refused(412, "host/precondition-failed");
    assert_eq!(problem["revision"], 1);
    put(("if-none-match", "*"), hello).await.refused(412, "host/precondition-failed");
    put(("if-match", "*"), "/v1/deployments/other").await.refused(412, "host/precondition-failed");
    put(("if-match", "\"1\""), "/v1/deployments/other").await.refused(412, "host/precondition-failed");
    assert_eq!(world.get(hello).await.json()["revision"], 1);
    put(("if-match", "\"1\""), hello).await.is(200);
    put(("if-match", "*"), hello).await.is(200);
    put(("if-none-match", "*"), "/v1/deployments/other").await.is(201);
    put(("if-match", "1"), hello).await.refused(400, "host/bad-header");
}

#[tokio::test]
async fn a_manifest_is_refused_with_a_pointer_for_each_problem() {
    let world = World::with_hello().await;
    let put = async |manifest| world.put("/v1/deployments/hello", manifest).await;
    let problem = put(json!({"module": "hello@1.0.0", "priorty": 1, "limits": {"memory": "1XB"}})).await;
    let problem = problem.refused(422, "host/bad-manifest");
    let errors = problem["errors"].as_array().unwrap();
    let at =
        |pointer: &str| errors.iter().find(|error| error["pointer"] == pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(at("/priorty")["code"], "host/unknown-field");
    assert!(at("/priorty")["fix"].as_str().unwrap().contains("priority"));
    assert!(at("/limits/memory")["detail"].as_str().unwrap().contains("1XB"));

    let other = put(json!({"module": "hello@1.0.0", "name": "other"})).await.refused(422, "host/bad-manifest");
    assert_eq!(other["errors"][0]["pointer"], "/name");
    let cron = put(json!({"module": "hello@1.0.0", "schedules": [{"name": "x", "cron": "99 * * * *"}]})).await;
    let cron = cron.is(422).json();
    assert!(cron["errors"][0]["pointer"].as_str().unwrap().starts_with("/schedule"), "{cron}");
    put(json!([])).await.is(422);
    let text = world.ask("PUT", "/v1/deployments/hello", &[], "{\"module\": ").await.refused(400, "host/bad-json");
    assert!(text["detail"].as_str().unwrap().contains("line 1"), "{text}");
    world.put("/v1/deployments/hello", json!({"module": "nothing@1.0.0"})).await.refused(404, "host/module-not-found");
    assert_eq!(world.get("/v1/deployments/hello").await.json()["revision"], 1);
}

#[tokio::test]
async fn a_pause_queues_requests_until_it_ends() {
    let world = World::with_hello().await;
    let paused = world.post("/v1/deployments/hello/pause", json!({"note": "later"})).await.is(200).json();
    assert_eq!(paused["paused"]["note"], "later");
    let id = world.request(json!({})).await;
    assert_eq!(world.get(&format!("/v1/runs/{id}")).await.json()["state"], "queued");
    let problem =
        world.post("/v1/deployments/hello/pause", json!({"nte": "x"})).await.refused(422, "host/unknown-field");
    assert_eq!(problem["errors"][0]["pointer"], "/nte");
    let resumed = world.post("/v1/deployments/hello/resume", json!({})).await.is(200).json();
    assert!(resumed.get("paused").is_none());
    world.until(&id, "succeeded").await;
    world.ask("POST", "/v1/deployments/no/pause", &[], "").await.refused(404, "host/deployment-not-found");
}

#[tokio::test]
async fn a_deployment_is_rolled_back() {
    let world = World::with_hello().await;
    let hello = "/v1/deployments/hello";
    world.put(hello, json!({"module": "hello@1.0.0", "priority": 7})).await.is(200);
    let dry = world.post(&format!("{hello}/rollback?dry_run=true"), json!({"revision": 1})).await.is(200).json();
    assert_eq!((&dry["dry_run"], &dry["deployment"]["revision"]), (&json!(true), &json!(3)));
    assert_eq!(world.get(hello).await.json()["revision"], 2);
    let headers = [("if-match", "\"1\"")];
    let path = format!("{hello}/rollback");
    world.ask("POST", &path, &headers, "").await.refused(412, "host/precondition-failed");
    let back = world.ask("POST", &path, &[], "").await.is(200);
    assert_eq!(back.header("etag"), "\"3\"");
    assert_eq!(back.json()["deployment"]["manifest"]["priority"], 5);
    world.post(&path, json!({"revision": 0})).await.refused(422, "host/bad-field");
    world.post(&path, json!({"revision": 9})).await.refused(404, "host/revision-not-found");
    world.post(&path, json!({"to": 1})).await.refused(422, "host/unknown-field");
    world.ask("POST", "/v1/deployments/no/rollback", &[], "").await.refused(404, "host/deployment-not-found");
}

#[tokio::test]
async fn a_deployment_with_runs_is_removed_only_with_them() {
    let world = World::with_hello().await;
    let id = world.request(json!({"sleep": 60_000})).await;
    world.until(&id, "running").await;
    world.delete("/v1/deployments/hello").await.refused(409, "host/deployment-in-use");
    world.delete("/v1/deployments/hello?runs=keep").await.refused(400, "host/bad-query");
    world.delete("/v1/deployments/hello?runs=cancel").await.is(204);
    assert_eq!(world.until(&id, "cancelled").await["state"], "cancelled");
    world.get("/v1/deployments/hello").await.refused(404, "host/deployment-not-found");
    world.delete("/v1/deployments/hello").await.refused(404, "host/deployment-not-found");
}

/// Opens the breaker of `hello` by ten runs that trap.
async fn open_breaker(world: &World) -> Value {
    for _ in 0..10 {
        world.run(json!({"trap": true})).await.is(200);
    }
    loop {
        let breaker = world.get(BREAKER).await.is(200).json();
        if breaker["state"] == "open" {
            return breaker;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_open_breaker_is_shown_and_refuses_only_callers_that_wait() {
    let world = World::with_hello().await;
    let closed = world.get(BREAKER).await.is(200).json();
    assert_eq!(
        (&closed["state"], &closed["mode"], &closed["attempts"]),
        (&json!("closed"), &json!("automatic"), &json!(0))
    );
    assert!(closed.get("until").is_none() && closed.get("decision").is_none(), "{closed}");
    let opened = open_breaker(&world).await;
    assert_eq!(opened["reason"], "10 of the last 10 attempts failed");
    assert!(opened["until"].as_str() > opened["since"].as_str(), "{opened}");
    for path in ["/v1/deployments/hello", "/v1/deployments"] {
        let shown = world.get(path).await.is(200).json();
        let deployment = if path.ends_with("hello") { &shown } else { &shown["items"][0] };
        assert_eq!(deployment["breaker"]["state"], "open", "{shown}");
    }
    let refused = world.run(json!({})).await;
    let after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem = refused.refused(503, "host/circuit-open");
    assert!(problem["detail"].as_str().unwrap().contains("10 of the last 10 attempts failed"), "{problem}");
    let id = world.request(json!({})).await;
    let explained = world.get(&format!("/v1/runs/{id}/explain")).await.is(200).json();
    let stage = explained["stages"].as_array().unwrap().iter().find(|stage| stage["verdict"] == "waits").unwrap();
    assert_eq!(stage["stage"], "breaker", "{explained}");
    let decided = world.put(BREAKER, json!({"mode": "forced-closed", "note": "it works"})).await.is(200).json();
    assert_eq!((&decided["state"], &decided["reason"]), (&json!("forced-closed"), &json!("it works")));
    assert_eq!(decided["decision"]["note"], "it works");
    world.until(&id, "succeeded").await;
}

#[tokio::test]
async fn a_decision_is_refused_with_a_pointer_for_each_problem() {
    let world = World::with_hello().await;
    let long = "x".repeat(1_025);
    for (body, pointer) in [
        (json!({"note": "why"}), "/mode"),
        (json!({"mode": "open", "note": "why"}), "/mode"),
        (json!({"mode": "disabled"}), "/note"),
        (json!({"mode": "disabled", "note": "  "}), "/note"),
        (json!({"mode": "disabled", "note": long}), "/note"),
        (json!({"mode": "disabled", "note": "why", "until": "noon"}), "/until"),
    ] {
        let problem = world.put(BREAKER, body.clone()).await.is(422).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert!(!problem["errors"][0]["fix"].as_str().unwrap().is_empty());
    }
    let decision = json!({"mode": "disabled", "note": "why"});
    world.put("/v1/deployments/no/breaker", decision).await.refused(404, "host/deployment-not-found");
    world.get("/v1/deployments/no/breaker").await.refused(404, "host/deployment-not-found");
    world.post(BREAKER, json!({})).await.refused(405, "host/method-not-allowed");
    assert!(world.get(BREAKER).await.json().get("decision").is_none(), "nothing was decided");
}
