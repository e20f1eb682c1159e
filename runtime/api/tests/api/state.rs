//! `/v1/deployments/{name}/state`.

use serde_json::json;

use super::world::World;

const STATE: &str = "/v1/deployments/hello/state";

#[tokio::test]
async fn a_value_is_set_read_listed_and_deleted_and_each_change_is_on_the_feed() {
    let world = World::with_hello().await;
    let mut feed = world.open("/v1/events", &[]).await;
    let set = world.ask("PUT", &format!("{STATE}/orders%2F7"), &[], "{\"paid\":true}").await.is(201);
    let (change, tag) = (set.json(), set.header("etag").to_owned());
    assert_eq!((&change["key"], &change["bytes"], &change["created"]), (&json!("orders/7"), &json!(13), &json!(true)));
    assert_eq!(tag, format!("\"{}\"", change["version"]));

    let read = world.get(&format!("{STATE}/orders%2F7")).await.is(200);
    assert_eq!((read.bytes.as_ref(), read.header("etag")), (&b"{\"paid\":true}"[..], &*tag));
    assert_eq!(read.header("content-type"), "application/octet-stream");
    assert_eq!(read.header("x-content-type-options"), "nosniff");

    world.ask("PUT", &format!("{STATE}/orders%2F8"), &[], vec![0xff; 20_000]).await.is(201);
    world.ask("PUT", &format!("{STATE}/other"), &[], "").await.is(201);
    let all = world.get(&format!("{STATE}?limit=2")).await.is(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    let next = world.get(&format!("{STATE}?limit=2&cursor={}", all["next"].as_str().unwrap())).await.is(200).json();
    assert_eq!((&next["items"][0]["key"], &next["items"][0]["bytes"]), (&json!("other"), &json!(0)));
    assert!(next.get("next").is_none());
    let orders = world.get(&format!("{STATE}?prefix=orders/")).await.is(200).json();
    assert_eq!(orders["items"][0]["preview"], "{\"paid\":true}");
    assert!(orders["items"].as_array().unwrap().len() == 2 && orders["items"][1].get("preview").is_none());

    world.delete(&format!("{STATE}/orders%2F7")).await.is(204);
    world.get(&format!("{STATE}/orders%2F7")).await.refused(404, "host/state-key-not-found");
    world.delete(&format!("{STATE}/orders%2F7")).await.refused(404, "host/state-key-not-found");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let (_, name, data) = feed.event().await.unwrap();
        assert_eq!((name.as_str(), &data["deployment"]), ("state", &json!("hello")));
        seen.push((data["key"].as_str().unwrap().to_owned(), data["change"].as_str().unwrap().to_owned()));
    }
    let changes: Vec<_> = seen.iter().map(|(key, change)| (key.as_str(), change.as_str())).collect();
    assert_eq!(changes, [("orders/7", "set"), ("orders/8", "set"), ("other", "set"), ("orders/7", "deleted")]);
}

#[tokio::test]
async fn a_value_that_changed_since_it_was_read_is_not_overwritten() {
    let world = World::with_hello().await;
    let path = format!("{STATE}/n");
    let put = async |header: (&str, &str), value: &'static str| world.ask("PUT", &path, &[header], value).await;
    put(("if-match", "*"), "0").await.refused(412, "host/precondition-failed");
    let tag = put(("if-none-match", "*"), "1").await.is(201).header("etag").to_owned();
    put(("if-none-match", "*"), "2").await.refused(412, "host/precondition-failed");
    put(("if-match", &tag), "3").await.is(200);
    put(("if-match", &tag), "4").await.refused(412, "host/precondition-failed");
    world.ask("DELETE", &path, &[("if-match", &tag)], "").await.refused(412, "host/precondition-failed");
    put(("if-match", "*"), "5").await.is(200);
    assert_eq!(world.get(&path).await.is(200).bytes.as_ref(), b"5");
}

#[tokio::test]
async fn values_outside_their_bounds_are_refused() {
    let world = World::with_hello().await;
    let long = "k".repeat(513);
    world.ask("PUT", &format!("{STATE}/{long}"), &[], "1").await.refused(400, "host/bad-name");
    world.ask("PUT", &format!("{STATE}/{}", &long[1..]), &[], vec![b'x'; 1 << 20]).await.is(201);
    world.ask("PUT", &format!("{STATE}/k"), &[], vec![b'x'; (1 << 20) + 1]).await.refused(413, "host/body-too-large");
    world.get(&format!("{STATE}?prefix={long}")).await.refused(422, "host/limit-state-key");
    for (method, path) in [("GET", "unknown/state"), ("PUT", "unknown/state/k"), ("DELETE", "unknown/state/k")] {
        let path = format!("/v1/deployments/{path}");
        world.ask(method, &path, &[], "").await.refused(404, "host/deployment-not-found");
    }
}
