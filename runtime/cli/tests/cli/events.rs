//! Topics and subscriptions on the command line.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::TestHost;

fn json_of(host: &TestHost, args: &[&str]) -> Value {
    let called = host.call(&[args, &["--json"]].concat());
    assert_eq!(called.code, 0, "{called:?}");
    serde_json::from_str(&called.stdout).unwrap()
}

#[test]
fn an_event_is_published_delivered_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("acts");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::copy(tidemill_artifacts::durable(), module.join("component.wasm")).unwrap();
    let manifest = "[module]\nname = \"acts\"\nversion = \"0.1.0\"\ncomponent = \"component.wasm\"\n\
                    [grants]\ntopics = [\"news.*\"]\n\
                    [[subscription]]\nname = \"asked\"\ntopic = \"asked\"\n\
                    [[subscription]]\nname = \"news\"\ntopic = \"news.**\"\n";
    std::fs::write(module.join("tidemill.toml"), manifest).unwrap();
    let host = TestHost::start(&folder.path().join("data"), &[], None);
    let deployed = host.call(&["deploy", module.to_str().unwrap()]);
    assert_eq!(deployed.code, 0, "{deployed:?}");

    // The event makes a run, which publishes another one, which makes another run.
    let payload = json!({ "acts": [{ "do": "publish", "topic": "news.twice", "payload": { "acts": [] } }] });
    let publish = ["publish", "asked", "--payload", &payload.to_string(), "--key", "one"];
    let published = host.call(&publish);
    assert_eq!(published.code, 0, "{published:?}");
    assert_eq!(host.call(&publish).stdout, published.stdout, "once");
    let delivered = || {
        let all = json_of(&host, &["subscriptions", "list", "--deployment", "acts"]);
        let news = all.as_array().unwrap().iter().find(|one| one["name"] == "news").unwrap().clone();
        news["delivered"].as_u64().unwrap()
    };
    for _ in 0..200 {
        if delivered() == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(delivered(), 1);
    let table = host.call(&["subscriptions", "list"]).stdout;
    assert!(table.contains("DELIVERED") && table.contains("news.**"), "{table}");
    let topics = host.call(&["topics", "list"]).stdout;
    assert!(topics.contains("asked") && topics.contains("news.twice"), "{topics}");
    let events = host.call(&["topics", "events", "news.twice"]).stdout;
    assert!(events.contains("acts") && events.contains(r#"{"acts":[]}"#), "{events}");
    assert_eq!(host.call(&["topics", "events", "none"]).code, 1);

    let planned =
        host.call(&["subscriptions", "replay", "acts", "news", "--since", "2020-01-01T00:00:00Z", "--dry-run"]);
    let plan = "1 event since 2020-01-01T00:00:00.000Z would be replayed to acts/news; nothing was changed\n";
    assert_eq!((planned.code, &*planned.stdout), (0, plan), "{planned:?}");
    let replayed = host.call(&["subscriptions", "replay", "acts", "news", "--since", "2020-01-01T00:00:00Z"]);
    assert!(replayed.code == 0 && replayed.stdout.contains("done: 1 events, 1 runs created"), "{replayed:?}");
    let paused = host.call(&["subscriptions", "pause", "acts", "news", "--note", "looking"]);
    assert_eq!((paused.code, &*paused.stdout), (0, "acts/news paused: nothing waits for it\n"), "{paused:?}");
    assert!(host.call(&["subscriptions", "list"]).stdout.contains("paused: looking"));
    assert_eq!(json_of(&host, &["subscriptions", "resume", "acts", "news"])["state"], "active");
    assert_eq!(host.call(&["subscriptions", "resume", "acts", "news"]).code, 1, "it is already active");
    let skipped = json_of(&host, &["subscriptions", "skip", "acts", "news"]);
    assert_eq!(skipped, json!({ "skipped": 0 }));
    assert_eq!(host.call(&["subscriptions", "replay", "acts", "none", "--since", "2020-01-01T00:00:00Z"]).code, 1);
    let planned = host.call(&["topics", "delete", "news.twice", "--dry-run"]).stdout;
    assert!(planned.starts_with("news.twice would be deleted with "), "{planned}");
    assert!(host.call(&["topics", "list"]).stdout.contains("news.twice"));
    assert_eq!(host.call(&["topics", "delete", "news.twice", "--yes"]).code, 0);
    assert_eq!(host.call(&["topics", "delete", "news.twice", "--dry-run"]).code, 1, "it is gone");
}
