//! `/v1/runs/{id}/explain`, and the refusals of flow control.

use serde_json::json;

use super::world::World;

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
    assert_eq!(stages.len(), 11);
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
