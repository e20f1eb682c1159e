//! `/v1/events`.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn the_feed_follows_the_order_of_commits() {
    let world = World::with_hello().await;
    let mut feed = world.open("/v1/events", &[]).await;
    assert_eq!(feed.headers["content-type"], "text/event-stream");
    let run = world.run(json!({"fail": "x"})).await.json();
    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    let mut last = 0;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|name| name != "deployment") {
        let (id, name, data) = feed.event().await.unwrap();
        let id: u64 = id.parse().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
        if name == "run" {
            assert_eq!((&data["run"], &data["deployment"]), (&run["id"], &json!("hello")));
            if data["state"] == "parked" {
                assert_eq!((&data["code"], &data["fuel"]), (&json!("x"), &json!(1000)));
            }
        } else {
            assert_eq!(data["change"], "paused");
        }
        seen.push(name);
    }
    assert!(seen.contains(&"run".to_owned()));
}

#[tokio::test]
async fn a_feed_continues_from_its_position_or_sends_a_reset() {
    let world = World::with_hello().await;
    let mut feed = world.open("/v1/events", &[]).await;
    world.post("/v1/deployments/hello/pause", json!({})).await.is(200);
    let (first, ..) = feed.event().await.unwrap();
    drop(feed);
    world.post("/v1/deployments/hello/resume", json!({})).await.is(200);
    let mut feed = world.open("/v1/events", &[("last-event-id", &first)]).await;
    let (_, name, data) = feed.event().await.unwrap();
    assert_eq!((name.as_str(), &data["change"]), ("deployment", &json!("resumed")));

    let future = world.open("/v1/events", &[("last-event-id", "18446744073709551615")]).await.event().await.unwrap();
    assert_eq!(future.1, "reset");
    assert_eq!(future.0, future.2["last"].to_string());
    world.ask("GET", "/v1/events", &[("last-event-id", "x")], "").await.refused(400, "host/bad-header");
}

#[tokio::test]
async fn feeds_have_a_maximum_number() {
    let world = World::with(|config| config.feeds = 2).await;
    let first = world.open("/v1/events", &[]).await;
    let _second = world.open("/v1/events", &[]).await;
    let refused = world.get("/v1/events").await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.refused(503, "host/overloaded");
    drop(first);
    world.open("/v1/events", &[]).await;
}
