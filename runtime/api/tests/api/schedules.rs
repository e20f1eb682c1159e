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
    world.get("/v1/schedules?deployment=other").await.refused(404, "host/deployment-not-found");
    let one = world.get("/v1/schedules/hello/daily").await.is(200).json();
    assert_eq!(one, listed["items"][0]);
    for count in ["fired", "skipped", "dropped", "late", "missed", "by_hand", "waiting", "failures"] {
        assert_eq!(one[count], 0, "{count}");
    }
    assert_eq!(one["state"], "active");
    let preview = world.get("/v1/schedules/hello/daily/preview?limit=3&from=2026-01-30T12:00:00Z").await.is(200).json();
    let wanted = ["01-31", "02-01", "02-02"]
        .map(|day| json!({"at": format!("2026-{day}T08:00:00.000Z"), "local": format!("2026-{day}T09:00:00+01:00")}));
    assert_eq!(preview["items"], json!(wanted));
    world.get("/v1/schedules/hello/daily/preview?limit=0").await.refused(400, "host/bad-query");
    world.get("/v1/schedules/hello/other").await.refused(404, "host/schedule-not-found");
    world.get("/v1/schedules/hello/other/preview").await.refused(404, "host/schedule-not-found");
}

#[tokio::test]
async fn a_preview_shows_what_daylight_saving_moves_and_drops() {
    let world = World::with_hello().await;
    let put = |gap: &str| {
        let nightly = json!({"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "gap": gap});
        json!({"module": "hello@1.0.0", "schedules": [nightly]})
    };
    world.put("/v1/deployments/hello", put("next")).await.is(200);
    let path = "/v1/schedules/hello/nightly/preview?limit=2&from=2026-03-28T12:00:00Z";
    let moved = world.get(path).await.is(200).json()["items"].clone();
    assert_eq!(
        (&moved[0]["at"], &moved[0]["local"]),
        (&json!("2026-03-29T01:00:00.000Z"), &json!("2026-03-29T03:00:00+02:00"))
    );
    assert!(moved[0]["note"].as_str().unwrap().contains("gap = \"next\""), "{moved}");
    let dry = world.put("/v1/deployments/hello?dry_run=true", put("skip")).await.is(200).json();
    let firings = dry["schedules"][0]["firings"].as_array().unwrap();
    assert_eq!(firings.iter().filter(|firing| firing.get("dropped").is_none()).count(), 20, "{dry}");
    assert_eq!(dry["schedules"][0]["time_zone"], "Europe/Berlin");
    world.put("/v1/deployments/hello", put("skip")).await.is(200);
    let dropped = world.get(path).await.is(200).json()["items"].clone();
    assert_eq!((dropped.as_array().unwrap().len(), &dropped[0]["dropped"]), (3, &json!(true)));
}

#[tokio::test]
async fn a_schedule_is_paused_and_resumed() {
    let world = with_schedule().await;
    let paused = world.post("/v1/schedules/hello/daily/pause", json!({"note": "holidays"})).await.is(200).json();
    assert_eq!(paused["paused"]["note"], "holidays");
    let resumed = world.post("/v1/schedules/hello/daily/resume", json!({})).await.is(200).json();
    assert!(resumed.get("paused").is_none() && resumed["next"].is_string());
    world.post("/v1/schedules/hello/daily/resync", json!({})).await.refused(409, "host/run-state");
    for verb in ["pause", "resume", "trigger", "resync"] {
        world.post(&format!("/v1/schedules/hello/no/{verb}"), json!({})).await.refused(404, "host/schedule-not-found");
        world
            .post(&format!("/v1/schedules/hello/daily/{verb}"), json!({"x": 1}))
            .await
            .refused(422, "host/unknown-field");
    }
}

#[tokio::test]
async fn the_state_of_a_schedule_is_also_that_of_its_deployment() {
    let world = with_schedule().await;
    let state = async || world.get("/v1/schedules").await.is(200).json()["items"][0]["state"].clone();
    assert_eq!(state().await, "active");
    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    assert_eq!(state().await, "deployment-paused");
    world.post("/v1/schedules/hello/daily/pause", json!({})).await.is(200);
    assert_eq!(state().await, "paused");
    world.post("/v1/schedules/hello/daily/resume", json!({})).await.is(200);
    world.post("/v1/deployments/hello/resume", json!({})).await.is(200);
    let schedules = json!([{"name": "daily", "cron": "0 9 * * *"}]);
    let off = json!({"module": "hello@1.0.0", "enabled": false, "schedules": schedules});
    world.put("/v1/deployments/hello", off).await.is(200);
    assert_eq!(state().await, "disabled");
    let over = json!([{"name": "daily", "at": "2026-01-01T00:00:00Z"}]);
    world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "schedules": over})).await.is(200);
    assert_eq!(state().await, "ended");
}

#[tokio::test]
async fn an_operation_is_listed_shown_and_cancelled() {
    let world = with_schedule().await;
    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    let range = json!({"start": "2020-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"});
    let begun = world.post("/v1/schedules/hello/daily/backfill", range).await.is(202);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/operations/{id}");
    let cancelled = world.post(&format!("{path}/cancel"), json!({})).await.is(200).json();
    assert!(["cancelled", "done"].contains(&cancelled["state"].as_str().unwrap()), "{cancelled}");
    assert_eq!(world.get(&path).await.is(200).json()["state"], cancelled["state"]);
    assert_eq!(world.get("/v1/operations").await.is(200).json()["items"], json!([]));
    let state = cancelled["state"].as_str().unwrap();
    for which in ["all", state] {
        let listed = world.get(&format!("/v1/operations?state={which}&limit=1")).await.is(200).json();
        assert_eq!(listed["items"][0]["id"], json!(id), "{which}");
    }
    assert_eq!(world.post(&format!("{path}/cancel"), json!({})).await.is(200).json()["state"], cancelled["state"]);
    world.get("/v1/operations?state=over").await.refused(400, "host/bad-query");
    world.post("/v1/operations/op_none/cancel", json!({})).await.refused(404, "host/path-not-found");
}

#[tokio::test]
async fn a_triggered_schedule_uses_its_own_input() {
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

#[tokio::test]
async fn irregular_firings_are_listed() {
    let world = with_schedule().await;
    assert_eq!(world.get("/v1/schedules/hello/daily/firings").await.is(200).json(), json!({"items": []}));
    world.get("/v1/schedules/hello/other/firings").await.refused(404, "host/schedule-not-found");
    world.get("/v1/schedules/hello/daily/firings?limit=0").await.refused(400, "host/bad-query");
    world.get("/v1/schedules/hello/daily/firings?cursor=x").await.refused(400, "host/bad-cursor");
    let schedules = json!([{"name": "often", "every": "1s", "overlap": "skip", "limit": 2}]);
    world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "schedules": schedules})).await.is(200);
    let schedule = world.get("/v1/schedules/hello/often").await.is(200).json();
    assert!(schedule["remaining"].as_u64().is_some_and(|remaining| remaining <= 2), "{schedule}");
}

#[tokio::test]
async fn a_past_range_is_backfilled() {
    let world = with_schedule().await;
    let path = "/v1/schedules/hello/daily/backfill";
    let week = json!({"start": "2026-01-01T00:00:00Z", "end": "2026-01-08T00:00:00Z"});
    let plan = world.post(&format!("{path}?dry_run=true"), week.clone()).await.is(200).json();
    let (first, last) = ("2026-01-01T08:00:00.000Z", "2026-01-07T08:00:00.000Z");
    assert_eq!(plan, json!({"count": 7, "first": first, "last": last}));
    let answered = world.post(path, week.clone()).await.is(202);
    let mut operation = answered.json();
    let location = answered.header("location");
    assert_eq!((&operation["action"], &operation["total"]), (&json!("backfill"), &json!(7)));
    assert_eq!((&operation["overlap"], &operation["schedule"]), (&json!("queue-all"), &json!("daily")));
    while operation["state"] == "running" {
        tokio::task::yield_now().await;
        operation = world.get(location).await.is(200).json();
    }
    assert_eq!((&operation["matched"], &operation["done"], &operation["failed"]), (&json!(7), &json!(7), &json!(0)));
    let runs = world.get("/v1/runs").await.is(200).json();
    let run = runs["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&run["trigger"]["at"], &run["trigger"]["id"]), (&json!(first), &operation["id"]));
    assert_eq!(run["trigger"]["details"], json!({"backfill": true}));
    let future = json!({"start": "2026-01-01T00:00:00Z", "end": "2999-01-01T00:00:00Z"});
    world.post(path, future).await.refused(422, "host/bad-field");
    world.post(path, json!({"start": "2026-01-01T00:00:00Z"})).await.refused(422, "host/bad-field");
    world.post("/v1/schedules/hello/other/backfill", week).await.refused(404, "host/schedule-not-found");
}

#[tokio::test]
async fn one_action_pauses_and_resumes_many_schedules() {
    let world = with_schedule().await;
    let act = async |body| {
        let answered = world.post("/v1/schedules/actions", body).await.is(202);
        let location = answered.header("location");
        let mut operation = answered.json();
        while operation["state"] == "running" {
            tokio::task::yield_now().await;
            operation = world.get(location).await.is(200).json();
        }
        operation
    };
    let paused = act(json!({"action": "pause", "filter": {"deployment": "hello"}, "note": "moving"})).await;
    assert_eq!(
        (&paused["done"], &paused["note"], &paused["filter"]["deployment"]),
        (&json!(1), &json!("moving"), &json!("hello"))
    );
    let schedule = world.get("/v1/schedules/hello/daily").await.json();
    assert_eq!((&schedule["state"], &schedule["paused"]["note"]), (&json!("paused"), &json!("moving")));
    let resumed = act(json!({"action": "resume", "filter": {"all": true}})).await;
    assert_eq!((&resumed["done"], &resumed["filter"]), (&json!(1), &json!({"all": true})));
    assert_eq!(world.get("/v1/schedules/hello/daily").await.json()["state"], "active");
    world.post("/v1/schedules/actions", json!({"action": "pause", "filter": {}})).await.refused(422, "host/bad-field");
}
