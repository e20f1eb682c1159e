//! The content of a data folder as the API shows it.

use serde_json::{Map, Value, json};

use crate::host::Host;

/// The deployment whose runs resume as soon as a host opens the folder. Its runs are omitted.
const RESUMING: &str = "later";
/// The deployment that is created last. The feed is compared up to its event.
pub const LAST: &str = "last";

/// Collects the content of the folder of `host`.
pub async fn collect(host: &Host) -> Value {
    let mut runs = Vec::new();
    for run in items(host, "/v1/runs").await.into_iter().filter(|run| run["deployment"] != RESUMING) {
        let id = run["id"].as_str().unwrap();
        runs.push(json!({
            "run": host.get(&format!("/v1/runs/{id}")).await,
            "journal": items(host, &format!("/v1/runs/{id}/journal")).await,
            "logs": items(host, &format!("/v1/runs/{id}/logs")).await,
        }));
    }
    let mut deployments = Vec::new();
    for deployment in items(host, "/v1/deployments").await {
        let name = deployment["name"].as_str().unwrap();
        deployments.push(host.get(&format!("/v1/deployments/{name}/revisions")).await);
    }
    let mut events = Map::new();
    let topics = items(host, "/v1/topics").await;
    for topic in &topics {
        let topic = topic["topic"].as_str().unwrap();
        events.insert(topic.to_owned(), json!(items(host, &format!("/v1/topics/{topic}/events")).await));
    }
    let mut schedules = items(host, "/v1/schedules").await;
    // The next time depends on the present time.
    schedules.iter_mut().for_each(|schedule| forget(schedule, &["next", "next_in_zone"]));
    let check = host.http.post(host.url("/v1/ledger/check")).send().await.unwrap().text().await.unwrap();
    let mut facts = json!({
        "runs": runs,
        "parked": host.get("/v1/parked").await,
        "deployments": deployments,
        "modules": items(host, "/v1/modules").await,
        "topics": topics,
        "events": events,
        "subscriptions": items(host, "/v1/subscriptions").await,
        "schedules": schedules,
        "entries": items(host, "/v1/ledger/entries").await,
        "accounts": host.get("/v1/ledger/accounts").await,
        "streams": host.get("/v1/streams").await,
        "check": serde_json::from_str::<Value>(&check).unwrap(),
        "feed": feed(host).await,
    });
    forget_texts(&mut facts);
    facts
}

/// Removes the texts that the host adds to an error code. They are not stored.
fn forget_texts(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("fix");
            members.values_mut().for_each(forget_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_texts),
        _ => {}
    }
}

async fn items(host: &Host, path: &str) -> Vec<Value> {
    let page = host.get(&format!("{path}?limit=200")).await;
    assert!(page.get("next").is_none_or(Value::is_null), "{path} has more than a page");
    page["items"].as_array().unwrap().clone()
}

fn forget(value: &mut Value, fields: &[&str]) {
    if let Value::Object(members) = value {
        members.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

/// The feed from its beginning up to the event of the last deployment.
async fn feed(host: &Host) -> Vec<Value> {
    // No event has position 0, so the host answers with the first position of the feed.
    let reset = follow(host, 0, |event, _| event == "reset").await.pop().unwrap();
    let first = reset["data"]["first"].as_u64().unwrap();
    let mut events = follow(host, first - 1, |event, data| event == "deployment" && data["deployment"] == LAST).await;
    events.retain(|event| event["data"]["deployment"] != RESUMING);
    events
}

/// Events of the feed after a position, up to the first for which `is_last` is true.
async fn follow(host: &Host, after: u64, is_last: impl Fn(&str, &Value) -> bool) -> Vec<Value> {
    let request = host.http.get(host.url("/v1/events")).header("last-event-id", after);
    let mut answer = request.send().await.unwrap();
    let (mut text, mut events) = (String::new(), Vec::new());
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let (id, name, data) = (field("id: "), field("event: "), field("data: "));
            text = rest.to_owned();
            let (Some(name), Some(data)) = (name, data) else { continue };
            let data: Value = serde_json::from_str(&data).unwrap();
            let last = is_last(&name, &data);
            events.push(json!({ "id": id, "event": name, "data": data }));
            if last {
                return events;
            }
        }
        let chunk = answer.chunk().await.unwrap().expect("the feed has no end");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

/// Values that changed or are missing now. A new field is not a difference.
pub fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, now, &mut found);
    found
}

fn compare(place: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        // A later version keeps and compares more totals.
        (Value::Number(before), Value::Number(now)) if place == "/check/totals" && before.as_u64() <= now.as_u64() => {}
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                compare(&format!("{place}/{name}"), value, now.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{place}/{at}"), before, now, found);
            }
        }
        _ if before == now => {}
        _ => found.push(format!("{place}: {before} is now {now}")),
    }
}
