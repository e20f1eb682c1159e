//! `/v1/runs`, `POST /v1/deployments/{name}/runs`, explanations, and the refusals of flow control.

use serde_json::json;

use super::world::World;

const RUNS: &str = "/v1/deployments/hello/runs";

#[tokio::test]
async fn a_waiting_caller_gets_the_whole_record() {
    let world = World::with_hello().await;
    let answered = world.run(json!({"name": "Ada"})).await.is(200);
    let run = answered.json();
    assert_eq!(answered.header("location"), format!("/v1/runs/{}", run["id"].as_str().unwrap()));
    assert_eq!(
        (&run["state"], &run["deployment"], &run["export"]),
        (&json!("succeeded"), &json!("hello"), &json!("workflow"))
    );
    assert_eq!((&run["input"], &run["output"]), (&json!({"name": "Ada"}), &json!({"name": "Ada"})));
    assert_eq!((&run["attempt"], &run["generation"], &run["fuel"]), (&json!(1), &json!(1), &json!(1000)));
    assert_eq!(run["trigger"], json!({"kind": "manual"}));
    for time in ["created_at", "started_at", "ended_at"] {
        assert!(run[time].as_str().unwrap().ends_with('Z'), "{time}");
    }
    for absent in
        ["failure", "key", "labels", "progress", "not_before", "waiting_for", "journal_entries", "cancel", "detached"]
    {
        assert!(run.get(absent).is_none(), "{absent}");
    }
    let id = run["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/runs/{id}")).await.is(200).json(), run);
    assert_eq!(&world.get(&format!("/v1/runs/{id}/input")).await.is(200).bytes[..], br#"{"name":"Ada"}"#);
    assert_eq!(&world.get(&format!("/v1/runs/{id}/output")).await.is(200).bytes[..], br#"{"name":"Ada"}"#);
}

#[tokio::test]
async fn a_failed_run_shows_its_stack() {
    let world = World::with_hello().await;
    let run = world.run(json!({"fail": "host/trap", "stack": true})).await.is(200).json();
    let stack = world.get(&format!("/v1/runs/{}/stack", run["id"].as_str().unwrap())).await.is(200).json();
    assert_eq!(stack["frames"], json!([{"function": "run", "line": 7}, {"function": "main"}]));
    assert_eq!(stack["component"], run["component"]);
    for without in [json!({}), json!({"fail": "card-declined"})] {
        let run = world.run(without).await.is(200).json();
        let path = format!("/v1/runs/{}/stack", run["id"].as_str().unwrap());
        world.get(&path).await.refused(409, "host/run-state");
    }
}

#[tokio::test]
async fn a_failed_run_is_answered_with_200() {
    let world = World::with_hello().await;
    let run = world.run(json!({"fail": "card-declined"})).await.is(200).json();
    assert_eq!(run["failure"]["code"], "card-declined");
    assert_eq!(run["failure"]["details"], json!({"why": [1]}));
    assert!(run.get("output").is_none());
    let id = run["id"].as_str().unwrap();
    world.get(&format!("/v1/runs/{id}/output")).await.refused(409, "host/run-state");
    let limit = world.run(json!({"fail": "host/limit-fuel"})).await.is(200).json();
    assert!(limit["failure"]["fix"].as_str().unwrap().contains("fuel"));
}

#[tokio::test]
async fn a_caller_that_does_not_wait_gets_a_location() {
    let world = World::with_hello().await;
    let answered = world.post(RUNS, json!({"x": 1})).await.is(202);
    let id = answered.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answered.header("location"), format!("/v1/runs/{id}"));
    world.until(&id, "succeeded").await;
    // A wait that is too short also returns 202.
    let short = [("prefer", "wait=1")];
    let answered = world.ask("POST", RUNS, &short, json!({"sleep": 60_000}).to_string()).await.is(202);
    let id = answered.json()["id"].as_str().unwrap().to_owned();
    world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200);
    world.until(&id, "cancelled").await;
    // The run is already cancelled, so the answer is the same.
    let again = world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200).json();
    assert_eq!(again["state"], "cancelled");
}

#[tokio::test]
async fn an_empty_body_is_an_empty_input() {
    let world = World::with_hello().await;
    let run = world.ask("POST", RUNS, &[("prefer", "wait=20")], "").await.is(200).json();
    assert_eq!((&run["input"], &run["output"]), (&json!({}), &json!({})));
}

#[tokio::test]
async fn one_key_makes_one_run() {
    let world = World::with_hello().await;
    let ask = async |wait: &str, body: &str| {
        world.ask("POST", RUNS, &[("idempotency-key", "order-7"), ("prefer", wait)], body.to_owned()).await
    };
    let first = ask("wait=20", "{\"n\": 1}").await.is(200);
    assert_eq!(first.header("idempotency-replayed"), "");
    let first = first.json();
    for wait in ["wait=20", "respond-async"] {
        let again = ask(wait, "{\"n\": 1}").await;
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.json()["id"], first["id"]);
    }
    let problem = ask("wait=20", "{\"n\": 2}").await.refused(422, "host/idempotency-mismatch");
    assert_eq!(problem["run"], first["id"]);
    assert_eq!(world.get("/v1/runs").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_is_found_by_each_filter() {
    let world = World::with_hello().await;
    let labelled = format!("{RUNS}?label=team%3Dweb&label=tier%3D1&priority=9");
    let run = world.ask("POST", &labelled, &[("prefer", "wait=20")], "{}").await.is(200).json();
    assert_eq!(run["labels"], json!({"team": "web", "tier": "1"}));
    assert_eq!(run["priority"], 9);
    world.run(json!({"fail": "x"})).await.is(200);
    let found = async |query: &str| {
        let list = world.get(&format!("/v1/runs?{query}")).await.is(200).json();
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(found("").await, 2);
    assert_eq!(found("deployment=hello").await, 2);
    world.get("/v1/runs?deployment=other").await.refused(404, "host/deployment-not-found");
    assert_eq!(found("state=succeeded").await, 1);
    assert_eq!(found("state=failed,parked&state=succeeded").await, 2);
    assert_eq!(found("label=team%3Dweb&label=tier%3D1").await, 1);
    assert_eq!(found("label=team%3Dweb&label=tier%3D2").await, 0);
    assert_eq!(found("since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(found("until=2100-01-01T00:00:00Z").await, 2);
    let brief = world.get("/v1/runs?limit=1").await.json();
    assert!(brief["items"][0].get("input").is_none());
    // A cursor is bound to its filters.
    let next = brief["next"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/runs?limit=1&cursor={next}")).await.is(200).json()["items"][0]["id"], run["id"]);
    world.get(&format!("/v1/runs?state=failed&cursor={next}")).await.refused(400, "host/bad-cursor");
}

#[tokio::test]
async fn only_parked_or_failed_runs_are_retried() {
    let world = World::with_hello().await;
    let run = world.run(json!({"fail": "x"})).await.is(200).json();
    assert_eq!(run["state"], "parked");
    let id = run["id"].as_str().unwrap();
    let again = world.post(&format!("/v1/runs/{id}/retry"), json!({})).await.is(200).json();
    assert!(["queued", "running", "parked"].contains(&again["state"].as_str().unwrap()));
    world.until(id, "parked").await;
    world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200);
    world.post(&format!("/v1/runs/{id}/retry"), json!({})).await.refused(409, "host/run-state");
}

#[tokio::test]
async fn a_delayed_run_waits() {
    let world = World::with_hello().await;
    let run = world.post(&format!("{RUNS}?delay=1h"), json!({})).await.is(202).json();
    assert_eq!(run["state"], "queued");
    assert!(run["not_before"].as_str() > run["created_at"].as_str());
    for bad in ["delay=soon", "delay=400d", "priority=0", "priority=x", "export=main", "label=x", "dely=1s"] {
        world.post(&format!("{RUNS}?{bad}"), json!({})).await.refused(400, "host/bad-query");
    }
}

#[tokio::test]
async fn a_bad_request_for_a_run_creates_nothing() {
    let world = World::with_hello().await;
    let wait = ("prefer", "wait=5");
    for bad in ["{", "{} x", " ", "nul", "\"\\ud800\"", &"[".repeat(100_000)] {
        let problem = world.ask("POST", RUNS, &[wait], bad.to_owned()).await.refused(400, "host/bad-json");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        world.ask("POST", RUNS, &[], bad.to_owned()).await.refused(400, "host/bad-json");
    }
    let large = "x".repeat(4 * 1024 * 1024);
    world.ask("POST", RUNS, &[wait], format!("\"{large}\"")).await.refused(413, "host/body-too-large");
    world.ask("POST", RUNS, &[("prefer", "wait=soon")], "{}").await.refused(400, "host/bad-header");
    world.ask("POST", RUNS, &[("idempotency-key", "")], "{}").await.refused(400, "host/bad-header");
    world.ask("POST", RUNS, &[("content-type", "text/plain")], "{}").await.refused(415, "host/unsupported-media-type");
    world.post("/v1/deployments/no/runs", json!({})).await.refused(404, "host/deployment-not-found");
    let export = world.post(&format!("{RUNS}?export=webhook"), json!({})).await.refused(422, "host/unknown-export");
    assert!(export["detail"].as_str().unwrap().contains("workflow"));
    assert_eq!(world.get("/v1/runs").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_log_is_read_by_pages() {
    let world = World::with_hello().await;
    let id = world.request(json!({"log": 5})).await;
    world.until(&id, "succeeded").await;
    let all = world.get(&format!("/v1/runs/{id}/logs")).await.is(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 5);
    assert!(all.get("next").is_none());
    assert_eq!(all["items"][1]["message"], "line 1");
    assert_eq!(all["items"][1]["fields"], json!({"n": "1"}));
    assert_eq!(all["items"][1]["level"], "info");
    let page = world.get(&format!("/v1/runs/{id}/logs?limit=2&cursor=2")).await.is(200).json();
    assert_eq!((&page["items"][0]["seq"], &page["next"]), (&json!(2), &json!("4")));
    world.get(&format!("/v1/runs/{id}/logs?cursor=x")).await.refused(400, "host/bad-cursor");
    let unknown = "0".repeat(26);
    world.get(&format!("/v1/runs/{unknown}/logs?follow=true")).await.refused(404, "host/run-not-found");
}

#[tokio::test]
async fn a_followed_log_continues_to_the_end_of_the_run() {
    let world = World::with_hello().await;
    let id = world.request(json!({"log": 3, "sleep": 300})).await;
    let path = format!("/v1/runs/{id}/logs?follow=true");
    let mut events = world.open(&path, &[("accept", "text/event-stream")]).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    for seq in 0..3 {
        let (at, name, data) = events.event().await.unwrap();
        assert_eq!((at, name.as_str(), &data["message"]), (seq.to_string(), "log", &json!(format!("line {seq}"))));
    }
    assert_eq!(events.event().await.unwrap().2, json!({"state": "succeeded"}));
    assert!(events.event().await.is_none());

    let mut lines = world.open(&path, &[("last-event-id", "1")]).await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let line: serde_json::Value = serde_json::from_str(&lines.next("\n").await.unwrap()).unwrap();
    assert_eq!(line["seq"], 2);
    assert!(lines.next("\n").await.is_none());
}

#[tokio::test]
async fn an_unknown_run_is_not_found() {
    let world = World::new().await;
    let unknown = "0".repeat(26);
    for path in ["", "/input", "/output", "/logs", "/journal"] {
        world.get(&format!("/v1/runs/{unknown}{path}")).await.refused(404, "host/run-not-found");
        world.get(&format!("/v1/runs/x{path}")).await.refused(400, "host/bad-name");
    }
    world.get(&format!("/v1/runs?parent={unknown}")).await.refused(404, "host/run-not-found");
    for verb in ["cancel", "retry", "signals/paid"] {
        world.post(&format!("/v1/runs/{unknown}/{verb}"), json!({})).await.refused(404, "host/run-not-found");
    }
}

#[tokio::test]
async fn an_explanation_names_the_cause_of_a_runs_state() {
    let world = World::with_hello().await;
    let ended = world.run(json!({"name": "Ada"})).await.is(200).json();
    let ended = ended["id"].as_str().unwrap();
    let explained = world.get(&format!("/v1/runs/{ended}/explain")).await.is(200).json();
    assert_eq!((&explained["run"], &explained["state"]), (&json!(ended), &json!("succeeded")));
    assert!(explained["summary"].as_str().unwrap().starts_with("it succeeded at "));
    assert!(explained.get("stages").is_none() && explained.get("next").is_none());

    world.post("/v1/deployments/hello/pause", json!({"note": "a look"})).await.is(200);
    let id = world.request(json!({})).await;
    let explained = world.get(&format!("/v1/runs/{id}/explain")).await.is(200).json();
    let stages = explained["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 13);
    assert_eq!((&stages[3]["stage"], &stages[3]["verdict"]), (&json!("paused"), &json!("waits")));
    assert_eq!(stages[2]["used"], 1);
    assert!(explained["next"].as_str().unwrap().contains("tidemill deployments resume hello"));
    world.get(&format!("/v1/runs/{id}/explain?x=1")).await.refused(400, "host/bad-query");
    world.get("/v1/runs/00000000000000000000000000/explain").await.refused(404, "host/run-not-found");
}

#[tokio::test]
async fn a_full_queue_is_refused_with_429_and_retry_after() {
    let world = World::with_hello().await;
    let mut manifest = world.get("/v1/deployments/hello").await.is(200).json()["manifest"].clone();
    manifest["queue"] = json!(1);
    world.put("/v1/deployments/hello", manifest).await.is(200);
    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    world.request(json!({})).await;
    let refused = world.post("/v1/deployments/hello/runs", json!({})).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.refused(429, "host/queue-full");
}
