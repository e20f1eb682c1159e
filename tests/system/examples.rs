//! Every example with its own manifest, on the real binary. This test plays the external services.
//! In a manifest it replaces only their address, and the times of the poller and the runbook.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};

/// The external services: three of a shop, a chat, and a page that changes at each request.
struct MockServer {
    url: String,
    received: Arc<ReceivedRequests>,
    serving: tokio::task::JoinHandle<()>,
}

/// Requests to the external services.
#[derive(Default)]
struct ReceivedRequests {
    /// Requests other than GET: method and path, idempotency key, body.
    effects: Mutex<Vec<(String, String, Bytes)>>,
    looks: AtomicU64,
}

impl MockServer {
    async fn open() -> Self {
        let received = Arc::new(ReceivedRequests::default());
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, received, serving }
    }

    /// Effects whose request contains `below`, one for each `Idempotency-Key`, in order.
    fn done(&self, below: &str) -> Vec<String> {
        let mut keys = BTreeMap::new();
        let effects = self.received.effects.lock().unwrap();
        let first =
            effects.iter().filter(|(what, key, _)| what.contains(below) && keys.insert(key.clone(), ()).is_none());
        first.map(|(what, ..)| what.clone()).collect()
    }

    fn bodies(&self, below: &str) -> Vec<Value> {
        let effects = self.received.effects.lock().unwrap();
        let bodies = effects.iter().filter(|(what, ..)| what.contains(below));
        bodies.map(|(.., body)| serde_json::from_slice(body).unwrap()).collect()
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(received): State<Arc<ReceivedRequests>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::GET {
        let look = received.looks.fetch_add(1, Ordering::Relaxed);
        return ([("etag", look.to_string())], "a page").into_response();
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default();
    received.effects.lock().unwrap().push((format!("{method} {}", uri.path()), key, body.clone()));
    let order: Value = serde_json::from_slice(&body).unwrap_or_default();
    match uri.path() {
        "/holds" => axum::Json(json!({ "id": "h1" })).into_response(),
        "/charges" => {
            axum::Json(json!({ "id": format!("charge-of-{}", order["order"].as_str().unwrap()) })).into_response()
        }
        "/parcels" if order["to"] == "the moon" => {
            (StatusCode::CONFLICT, axum::Json(json!({ "why": "no van goes there" }))).into_response()
        }
        "/parcels" => axum::Json(json!({ "id": "p1" })).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

impl Host {
    /// Deploys an example with `tidemill deploy`, as an author does.
    fn deploy_example(&self, dir: &Path, name: &str, component: &Path, services: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("tidemill.toml");
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("http://127.0.0.1:8081", services).replace("https://example.org", services);
        let text = text.replace("every_seconds = 60", "every_seconds = 0").replace("looks = 60", "looks = 3");
        let text =
            text.replace("rest_seconds = 60", "rest_seconds = 1").replace("trial_seconds = 60", "trial_seconds = 1");
        let built = text.lines().find_map(|line| line.strip_prefix("component = ")).unwrap().trim_matches('"');
        let project = dir.join(name);
        std::fs::create_dir_all(project.join(built).parent().unwrap()).unwrap();
        std::fs::copy(component, project.join(built)).unwrap();
        std::fs::write(project.join("tidemill.toml"), &text).unwrap();
        let mut deploy = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        deploy.arg("deploy").arg(&project).env("TIDEMILL_URL", self.url("")).env_remove("TIDEMILL_TOKEN");
        let done = deploy.output().unwrap();
        let output = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(done.status.success(), "deploying {name}: {output}");
    }

    /// Waits until the record of a run meets a condition.
    async fn until(&self, id: &str, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).await;
            if wished(&run) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {run}\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn signal(&self, id: &str, name: &str, payload: &Value) {
        let request = self.http.post(self.url(&format!("/v1/runs/{id}/signals/{name}")));
        let answer = request.header("content-type", "application/json").body(payload.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_does_its_job_with_its_own_manifest() {
    let services = MockServer::open().await;
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    // Private addresses are refused unless the operator allows them, as on an author's machine.
    host.set_env(vec![("TIDEMILL_EGRESS_PRIVATE", services.url.clone())]);
    host.resume().await;
    for (name, component) in [
        ("hello", tidemill_artifacts::hello()),
        ("order-saga", tidemill_artifacts::order_saga()),
        ("approval", tidemill_artifacts::approval()),
        ("fan-out-child", tidemill_artifacts::fan_out_child()),
        ("fan-out", tidemill_artifacts::fan_out()),
        ("poller", tidemill_artifacts::poller()),
        ("runbook", tidemill_artifacts::runbook()),
        ("order-events", tidemill_artifacts::order_events()),
        ("order-invoices", tidemill_artifacts::order_invoices()),
    ] {
        host.deploy_example(dir.path(), name, component, &services.url);
    }
    tokio::join!(
        hello(&host),
        order_saga(&host, &services),
        approval(&host, &services),
        fan_out(&host),
        poller(&host),
        orders_and_invoices(&host),
    );
    runbook(&host).await;
}

async fn hello(host: &Host) {
    for (times, message) in [(1, "Hello, Ada!"), (2, "Hello again, Ada!")] {
        let run = host.invoke("hello", &json!({ "name": "Ada" })).await;
        assert_eq!(run["output"], json!({ "message": message, "times": times, "total": times }), "{run}");
    }
}

/// One order is charged and shipped. Another is undone in reverse and leaves no ledger entry.
async fn order_saga(host: &Host, services: &MockServer) {
    let order = |id: &str, address: &str| json!({ "id": id, "sku": "lamp", "pieces": 2, "price": 4_998, "card": "card_7", "address": address });
    let good = host.invoke("order-saga", &order("o1", "Harbour 1")).await;
    assert_eq!(good["output"], json!({ "order": "o1", "charge": "charge-of-o1", "parcel": "p1" }), "{good}");
    let bad = host.invoke("order-saga", &order("o2", "the moon")).await;
    assert_eq!((&bad["state"], &bad["failure"]["code"]), (&json!("parked"), &json!("refused")), "{bad}");
    let all = ["POST /holds", "POST /charges", "POST /parcels"];
    let undone = ["DELETE /charges/of-order/o2", "DELETE /holds/h1"];
    let done: Vec<String> = ["/holds", "/charges", "/parcels"].iter().flat_map(|what| services.done(what)).collect();
    assert_eq!(done.len(), 2 * all.len() + undone.len(), "{done:?}");
    let entries = host.get("/v1/ledger/entries?stream=order-saga").await;
    let sales: Vec<_> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["external_id"]).collect();
    assert_eq!(sales, ["charge-of-o1"], "{entries}");
}

/// The other deployment is paused with the reason, and works again when the rest is over.
async fn runbook(host: &Host) {
    let input = json!({ "deployment": "hello", "why": "a test" });
    let id = host.request_surely("runbook", "rest", &input).await;
    host.until(&id, "paused", |run| run["state"] == "suspended").await;
    let paused = host.get("/v1/deployments/hello").await;
    assert_eq!(paused["paused"]["note"], "a test", "{paused}");
    let run = host.until(&id, "done", |run| run["state"] == "succeeded").await;
    let output = host.get(&format!("/v1/runs/{id}/output")).await;
    assert_eq!(output, json!({ "rests": 1, "healthy": true, "retried": 0 }), "{run}");
    assert!(host.get("/v1/deployments/hello").await.get("paused").is_none());
    let run = host.invoke("hello", &json!({ "name": "Grace" })).await;
    assert_eq!(run["state"], "succeeded", "{run}");
}

/// The run notifies the approver, waits without a timeout, and resumes when the signal arrives.
async fn approval(host: &Host, services: &MockServer) {
    let input = json!({ "what": "a new lamp", "approver": "ada" });
    let id = host.request_surely("approval", "lamp", &input).await;
    let waiting = host.until(&id, "asleep", |run| run["state"] == "suspended").await;
    assert_eq!(waiting["waiting_for"]["any_of"], json!([{ "signal": "decision" }]), "{waiting}");
    let sent = services.bodies("/notify");
    assert_eq!((sent.len(), &sent[0]["to"]), (1, &json!("ada")));
    host.signal(&id, "decision", &json!({ "approved": true, "by": "ada" })).await;
    let run = host.settled(&id).await;
    assert_eq!(run["output"], json!({ "approved": true, "by": "ada", "reminders": 0 }), "{run}");
}

async fn fan_out(host: &Host) {
    let run = host.invoke("fan-out", &json!({ "below": 10_000, "parts": 20 })).await;
    assert_eq!(run["output"], json!({ "primes": 1_229, "parts": 20, "failed": [] }), "{run}");
}

/// The run continues as new after every three looks, until it receives the signal `stop`.
async fn poller(host: &Host) {
    let id = host.request_surely("poller", "page", &json!({})).await;
    host.until(&id, "in its third generation", |run| run["generation"].as_u64() >= Some(3)).await;
    host.signal(&id, "stop", &json!(null)).await;
    let run = host.settled(&id).await;
    let (looks, changes) = (run["output"]["looks"].as_u64().unwrap(), run["output"]["changes"].as_u64().unwrap());
    assert!(looks > 6 && changes + 1 == looks, "{run}");
}

/// An event of one deployment starts a run of the other if it matches the filter.
async fn orders_and_invoices(host: &Host) {
    for (order, country, pieces) in [(1, "FR", 1), (2, "DE", 3), (3, "AT", 99), (4, "AT", 2)] {
        let input = json!({ "order": order, "pieces": pieces, "customer": "ada", "country": country });
        let run = host.invoke("order-events", &input).await;
        assert_eq!(run["output"]["placed"], json!(pieces < 10), "{run}");
    }
    let begun = Instant::now();
    let written = loop {
        let page = host.get("/v1/runs?deployment=order-invoices&state=succeeded").await;
        let items = page["items"].as_array().unwrap().clone();
        if items.len() == 2 {
            break items;
        }
        assert!(begun.elapsed() < PATIENCE, "no two invoices: {page}\n{}", host.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut invoices = Vec::new();
    for run in written {
        let run = host.settled(run["id"].as_str().unwrap()).await;
        invoices.push((run["output"]["order"].clone(), run["output"]["number"].clone()));
    }
    invoices.sort_by_key(|(order, _)| order.as_u64());
    assert_eq!(invoices, [(json!(2), json!(1)), (json!(4), json!(2))]);
}
