//! The calls of the session, grouped by noun, with their answers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::normal::{Normal, without_numbers};
use crate::host::Host;

/// A host and the record of its answers.
pub struct Session {
    pub host: Host,
    pub text: String,
    pub normal: Normal,
}

impl Session {
    pub async fn begin(dir: &Path) -> Self {
        let mut host = Host::not_started(dir);
        host.set_env(vec![("TIDEMILL_LOG_FORMAT", "json".to_owned())]);
        host.resume().await;
        let words = vec![(dir.to_str().unwrap().to_owned(), "<folder>")];
        Self { host, text: String::new(), normal: Normal::new(words) }
    }

    /// Sends a request and records its answer.
    async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Value {
        let mut request = self.host.http.request(method.parse().unwrap(), self.host.url(path));
        let mut shown = String::new();
        for (name, value) in headers {
            request = request.header(*name, *value);
            if *name != "content-type" {
                write!(shown, " [{name}: {value}]").unwrap();
            }
        }
        if let Some(body) = body {
            let text = String::from_utf8(body.clone()).ok().filter(|text| text.len() < 10_000);
            write!(shown, " {}", text.as_deref().unwrap_or("<bytes>")).unwrap();
            request = request.body(body);
        }
        let answer = request.send().await.unwrap();
        let mut head = answer.status().as_u16().to_string();
        for name in ["location", "content-type", "etag", "retry-after", "allow"] {
            if let Some(value) = answer.headers().get(name) {
                // The version of a value is the number of its commit.
                let is_version = name == "etag" && path.contains("/state");
                let value = if is_version { "<version>" } else { value.to_str().unwrap() };
                write!(head, "\n{name}: {value}").unwrap();
            }
        }
        let text = answer.text().await.unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        // The age of the zone data is that of the machine.
        if let Some(warnings) = value.get_mut("warnings").filter(|_| path == "/v1/health") {
            *warnings = "<warnings>".into();
        }
        // So are the vitals.
        if let Some(vitals) = value.get_mut("vitals").filter(|_| path == "/v1/health") {
            *vitals = "<vitals>".into();
        }
        let (line, head) = (self.normal.text(&format!("{method} {path}{shown}")), self.normal.text(&head));
        let body = serde_json::to_string_pretty(&self.normal.value(&value)).unwrap();
        writeln!(self.text, "## {line}\n{head}\n{body}\n").unwrap();
        value
    }

    async fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path, &[], None).await
    }

    async fn delete(&mut self, path: &str) -> Value {
        self.ask("DELETE", path, &[], None).await
    }

    async fn put(&mut self, path: &str, body: Value) -> Value {
        self.ask("PUT", path, &[("content-type", "application/json")], Some(body.to_string().into_bytes())).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        self.post_with(path, &[], body).await
    }

    async fn post_with(&mut self, path: &str, more: &[(&str, &str)], body: Value) -> Value {
        let headers = [&[("content-type", "application/json")], more].concat();
        self.ask("POST", path, &headers, Some(body.to_string().into_bytes())).await
    }

    /// Starts a run, waits until it is in `state`, and returns its id.
    async fn run(&mut self, query: &str, acts: Value, state: &str) -> String {
        let run = self.post(&format!("/v1/deployments/shop/runs{query}"), json!({ "acts": acts })).await;
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&format!("/v1/runs/{id}"), |run| run["state"] == state).await;
        id
    }

    /// Waits without recording the answers.
    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) {
        self.host.wait_until_path(path, holds).await;
    }
}

pub async fn all(session: &mut Session) {
    modules(session).await;
    deployments(session).await;
    runs(session).await;
    unended(session).await;
    schedules(session).await;
    topics(session).await;
    state(session).await;
    ledger(session).await;
    refusals(session).await;
    host(session).await;
    feed(session).await;
}

async fn modules(session: &mut Session) {
    let bytes = std::fs::read(tidemill_artifacts::durable()).unwrap();
    let version = session.ask("PUT", "/v1/modules/durable/versions/1.0.0", &[], Some(bytes)).await;
    session.get("/v1/modules").await;
    session.get("/v1/modules/durable").await;
    let digest = version["digest"].as_str().unwrap().to_owned();
    session.get(&format!("/v1/components/{digest}")).await;
}

async fn deployments(session: &mut Session) {
    let manifest = |priority: u8| {
        json!({
            "module": "durable@1.0.0",
            "priority": priority,
            "concurrency": 4,
            "labels": { "team": "blue" },
            "config": { "currency": "EUR" },
            "grants": { "ledger": true, "topics": ["news"], "deployments": ["child"] },
            "retry": { "attempts": 1 },
            "health": { "enabled": false },
            "schedules": [{ "name": "yearly", "cron": "0 0 1 1 *", "input": { "acts": [] } }],
            "subscriptions": [{ "name": "news", "topic": "news" }],
        })
    };
    session.put("/v1/deployments/shop", manifest(5)).await;
    session.put("/v1/deployments/shop?dry_run=true", manifest(6)).await;
    session.put("/v1/deployments/shop", manifest(6)).await;
    session.put("/v1/deployments/child", json!({ "module": "durable@1.0.0", "health": { "enabled": false } })).await;
    session.get("/v1/deployments").await;
    session.get("/v1/deployments/shop").await;
    session.get("/v1/deployments/shop/revisions").await;
    session.post("/v1/deployments/shop/rollback?dry_run=true", json!({ "revision": 1 })).await;
    session.post("/v1/deployments/child/pause", json!({ "note": "moving" })).await;
    session.post("/v1/deployments/child/resume", json!({})).await;
}

/// A run that succeeds, with its logs, journal and effects.
async fn runs(session: &mut Session) {
    let acts = json!([
        { "do": "add", "key": "n" }, { "do": "post", "external_id": "sale-1" }, { "do": "log", "message": "sold" },
        { "do": "count", "name": "orders" }, { "do": "progress", "done": 3 },
        { "do": "publish", "topic": "news", "payload": { "acts": [] } },
        { "do": "start", "deployment": "child", "input": { "acts": [] } }, { "do": "await-all", "runs": [0], "timeout": null },
        { "do": "step", "name": "charge", "attempts": 3, "delay_ms": 1, "fail_until": 2, "acts": [{ "do": "log", "message": "charging" }] },
    ]);
    let headers = [("prefer", "wait=50"), ("idempotency-key", "order-1")];
    let path = "/v1/deployments/shop/runs?label=customer=7";
    let run = session.post_with(path, &headers, json!({ "acts": acts })).await;
    let id = run["id"].as_str().unwrap().to_owned();
    session.until("/v1/subscriptions/shop/news", |news| news["delivered"] == 1).await;
    session.until("/v1/runs?state=succeeded", |runs| runs["items"].as_array().unwrap().len() == 3).await;
    for part in ["", "/explain", "/input", "/output", "/logs", "/journal"] {
        session.get(&format!("/v1/runs/{id}{part}")).await;
    }
    session.get("/v1/deployments/shop/keys/order-1").await;
    session.get("/v1/runs?deployment=shop&label=customer=7").await;
    session.get(&format!("/v1/runs?parent={id}")).await;
}

/// Runs that are suspended, delayed, parked or cancelled.
async fn unended(session: &mut Session) {
    let waits = json!([{ "do": "await-first", "any_of": ["go"], "timeout": null }]);
    let waiting = session.run("", waits.clone(), "suspended").await;
    session.post(&format!("/v1/runs/{waiting}/signals/other"), json!({ "n": 1 })).await;
    for part in ["", "/explain", "/inbox"] {
        session.get(&format!("/v1/runs/{waiting}{part}")).await;
    }
    session.delete(&format!("/v1/runs/{waiting}/inbox/0")).await;
    session.post(&format!("/v1/runs/{waiting}/signals/go"), json!(7)).await;
    session.until(&format!("/v1/runs/{waiting}"), |run| run["state"] == "succeeded").await;
    session.get(&format!("/v1/runs/{waiting}")).await;
    let delayed = session.run("?delay=1h&priority=9", json!([]), "queued").await;
    session.get(&format!("/v1/runs/{delayed}/explain")).await;
    session.post(&format!("/v1/runs/{delayed}/cancel?terminate=true"), json!({})).await;
    let undone = session.run("", waits, "suspended").await;
    session.post(&format!("/v1/runs/{undone}/cancel"), json!({})).await;
    session.until(&format!("/v1/runs/{undone}"), |run| run["state"] == "cancelled").await;
    session.get(&format!("/v1/runs/{undone}")).await;
    let parked = session.run("", json!([{ "do": "fail", "code": "no-luck" }]), "parked").await;
    for part in ["", "/explain"] {
        session.get(&format!("/v1/runs/{parked}{part}")).await;
    }
    session.get("/v1/parked").await;
    session.post(&format!("/v1/runs/{parked}/retry"), json!({ "dry_run": true })).await;
    session.post(&format!("/v1/runs/{parked}/retry"), json!({ "from": "start" })).await;
    session.until(&format!("/v1/runs/{parked}"), |run| run["state"] == "parked" && run["attempt"] == 2).await;
    session.get(&format!("/v1/runs/{parked}")).await;
    let filter = json!({ "action": "cancel", "filter": { "deployment": "shop", "state": ["parked"] } });
    let operation = session.post("/v1/runs/actions", filter).await;
    done(session, &operation).await;
}

/// Waits until an operation is done, and records it.
async fn done(session: &mut Session, operation: &Value) {
    let path = format!("/v1/operations/{}", operation["id"].as_str().unwrap());
    session.until(&path, |operation| operation["state"] == "done").await;
    session.get(&path).await;
    session.get("/v1/operations").await;
}

async fn schedules(session: &mut Session) {
    let path = "/v1/schedules/shop/yearly";
    session.get("/v1/schedules").await;
    session.post(&format!("{path}/pause"), json!({ "note": "moving" })).await;
    session.get(path).await;
    session.post(&format!("{path}/resume"), json!({})).await;
    session.get(&format!("{path}/preview")).await;
    let run = session.post(&format!("{path}/trigger"), json!({})).await;
    let id = run["id"].as_str().unwrap_or_default().to_owned();
    session.until(&format!("/v1/runs/{id}"), |run| run["state"] == "succeeded").await;
    let range = json!({ "start": "2019-06-01T00:00:00Z", "end": "2021-06-01T00:00:00Z", "overlap": "allow" });
    session.post(&format!("{path}/backfill?dry_run=true"), range.clone()).await;
    let operation = session.post(&format!("{path}/backfill"), range).await;
    done(session, &operation).await;
    session.until("/v1/runs?state=running,queued", |runs| runs["items"] == json!([])).await;
    session.get(&format!("{path}/firings")).await;
    let filter = json!({ "action": "pause", "filter": { "deployment": "shop" }, "note": "moving" });
    let operation = session.post("/v1/schedules/actions", filter).await;
    done(session, &operation).await;
}

async fn topics(session: &mut Session) {
    session.post_with("/v1/topics/news/events", &[("idempotency-key", "event-1")], json!({ "acts": [] })).await;
    session.until("/v1/subscriptions/shop/news", |news| news["delivered"] == 2).await;
    session.get("/v1/topics").await;
    session.get("/v1/topics/news/events").await;
    session.get("/v1/subscriptions").await;
    let path = "/v1/subscriptions/shop/news";
    session.post(&format!("{path}/pause"), json!({ "note": "looking" })).await;
    session.post("/v1/topics/news/events", json!({ "acts": [] })).await;
    session.get(path).await;
    session.post(&format!("{path}/skip"), json!({})).await;
    session.post(&format!("{path}/resume"), json!({})).await;
    let operation = session.post(&format!("{path}/replay"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    done(session, &operation).await;
    session.until("/v1/runs?state=running,queued", |runs| runs["items"] == json!([])).await;
}

async fn state(session: &mut Session) {
    let path = "/v1/deployments/shop/state";
    session.ask("PUT", &format!("{path}/orders"), &[], Some(b"seven".to_vec())).await;
    session.get(path).await;
    session.get(&format!("{path}/n")).await;
    session.delete(&format!("{path}/orders")).await;
}

async fn ledger(session: &mut Session) {
    for path in ["/v1/ledger/entries", "/v1/ledger/accounts", "/v1/streams"] {
        session.get(path).await;
    }
    session.get("/v1/ledger/revenue?stream=shop&start=1970-01-01T00:00:00Z&end=1970-01-02T00:00:00Z").await;
    session.post("/v1/ledger/check", json!({})).await;
}

/// One refusal of each kind.
async fn refusals(session: &mut Session) {
    session.get("/v1/nothing").await;
    session.post("/v1/deployments", json!({})).await;
    session.get("/v1/runs?stat=parked").await;
    session
        .put("/v1/deployments/bad", json!({ "module": "durable@9.0.0", "priorty": 5, "limits": { "fuel": "much" } }))
        .await;
    session.get("/v1/deployments/none").await;
    session.post("/v1/deployments/none/runs", json!({})).await;
    session.ask("PUT", "/v1/modules/noise/versions/1.0.0", &[], Some(vec![7; 200])).await;
    session
        .ask("POST", "/v1/deployments/shop/runs", &[("content-type", "application/json")], Some(b"{".to_vec()))
        .await;
    session.post("/v1/runs/00000000000000000000000000/cancel", json!({})).await;
    session.delete("/v1/deployments/shop?dry_run=true").await;
}

async fn host(session: &mut Session) {
    session.get("/healthz").await;
    session.get("/readyz").await;
    session.get("/v1/health").await;
}

/// The events of the feed, sorted and each once, because their order depends on the threads.
async fn feed(session: &mut Session) {
    session.put("/v1/deployments/the-last", json!({ "module": "durable@1.0.0", "health": { "enabled": false } })).await;
    // No event has position 0, so the host answers with the first position of the feed.
    let reset = follow(session, 0, |text| text.contains("event: reset")).await;
    let first = reset.split_once("\"first\":").and_then(|(_, rest)| rest.split(',').next()).unwrap();
    let first: u64 = first.parse().unwrap();
    let all = follow(session, first - 1, |text| text.contains("\"the-last\"")).await;
    let mut events = BTreeSet::new();
    for event in all.split("\n\n") {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let (Some(name), Some(data)) = (field("event: "), field("data: ")) else { continue };
        let data = session.normal.value(&serde_json::from_str(data).unwrap()).to_string();
        events.insert(format!("{name} {}", without_numbers(&data)));
    }
    writeln!(session.text, "## GET /v1/events").unwrap();
    events.iter().for_each(|event| writeln!(session.text, "{event}").unwrap());
}

/// The text of the feed after a position, up to where `is_enough` is true.
async fn follow(session: &Session, after: u64, is_enough: impl Fn(&str) -> bool) -> String {
    let request = session.host.http.get(session.host.url("/v1/events")).header("last-event-id", after);
    let mut answer = request.send().await.unwrap();
    let mut text = String::new();
    while !is_enough(&text) || !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    text
}
