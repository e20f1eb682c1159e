//! `/v1/schedules`.

use serde_json::json;

use super::world::World;

async fn with_schedule() -> World {
    let world = World::with_hello().await;
    let schedules =
        json!([{"name": "daily", "cron": "0 9 * * *", "time_zone": "Europe/Berlin", "input": {"by": "clock"}}]);
    world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "schedules": schedules})).await.is(200);
    world
}

#[tokio::test]
async fn a_schedule_shows_when_it_fires() {
    let world = with_schedule().await;
    let listed = world.get("/v1/schedules").await.is(200).json();
    assert_eq!(listed["items"][0]["name"], "daily");
    assert_eq!(world.get("/v1/schedules?deployment=other").await.is(200).json()["items"], json!([]));
    let one = world.get("/v1/schedules/hello/daily").await.is(200).json();
    assert_eq!(one, listed["items"][0]);
    assert_eq!((&one["fired"], &one["skipped"], &one["missed"]), (&json!(0), &json!(0), &json!(0)));
    let preview = world.get("/v1/schedules/hello/daily/preview?limit=3&from=2026-01-30T12:00:00Z").await.is(200).json();
    let wanted = ["2026-01-31T08:00:00.000Z", "2026-02-01T08:00:00.000Z", "2026-02-02T08:00:00.000Z"];
    assert_eq!(preview["items"], json!(wanted));
    world.get("/v1/schedules/hello/daily/preview?limit=0").await.refused(400, "host/bad-query");
    world.get("/v1/schedules/hello/other").await.refused(404, "host/schedule-not-found");
    world.get("/v1/schedules/hello/other/preview").await.refused(404, "host/schedule-not-found");
}

#[tokio::test]
async fn a_schedule_is_paused_and_resumed() {
    let world = with_schedule().await;
    let paused = world.post("/v1/schedules/hello/daily/pause", json!({"note": "holidays"})).await.is(200).json();
    assert_eq!(paused["paused"]["note"], "holidays");
    let resumed = world.post("/v1/schedules/hello/daily/resume", json!({})).await.is(200).json();
    assert!(resumed.get("paused").is_none() && resumed["next"].is_string());
    for verb in ["pause", "resume", "trigger"] {
        world.post(&format!("/v1/schedules/hello/no/{verb}"), json!({})).await.refused(404, "host/schedule-not-found");
        world
            .post(&format!("/v1/schedules/hello/daily/{verb}"), json!({"x": 1}))
            .await
            .refused(422, "host/unknown-field");
    }
}

#[tokio::test]
async fn a_schedule_is_fired_by_hand_with_its_own_input() {
    let world = with_schedule().await;
    let before = world.get("/v1/schedules/hello/daily").await.json()["next"].clone();
    let answered = world.post("/v1/schedules/hello/daily/trigger", json!({})).await.is(202);
    let id = answered.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answered.header("location"), format!("/v1/runs/{id}"));
    let run = world.until(&id, "succeeded").await;
    assert_eq!(run["input"], json!({"by": "clock"}));
    assert_eq!((&run["trigger"]["kind"], &run["trigger"]["name"]), (&json!("schedule"), &json!("daily")));
    assert_eq!(world.get("/v1/schedules/hello/daily").await.json()["next"], before);
}
