//! A host in a temporary folder, scripted guests, and a client without a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill_api::{Api, ApiConfig};
use tidemill_control::{Activation, ControlPlane, GuestExecutor, HostConfig};
use tidemill_core::clock::SystemClock;
use tidemill_core::failure::Failure;
use tidemill_core::money::{ContentHash, EntryCall};
use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest, Fuel};
use tidemill_engine::secrets::{EnvironmentAndFiles, StoredSecrets};
use tidemill_engine::{
    ActivationResult, Cause, ComponentInfo, ComponentProblem, ComponentRejection, DryRun, Effects, EngineError,
    EngineStats, Outcome, SourceFrame, Urgency,
};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::{Evidence, LedgerLeg, LogLevel, LogLine, NewEntry};
use tidemill_vault::Vault;
use tower::ServiceExt as _;

/// A host with its API.
pub struct World {
    pub host: ControlPlane,
    pub api: Api,
    router: Router,
    pub folder: TempDir,
}

/// An answer of the API.
#[derive(Debug)]
pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        Self::with_both(change, |_| {}).await
    }

    pub async fn with_host(change: impl FnOnce(&mut HostConfig)) -> Self {
        Self::with_both(|_| {}, change).await
    }

    async fn with_both(change: impl FnOnce(&mut ApiConfig), of_host: impl FnOnce(&mut HostConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        std::fs::create_dir_all(data.join("components")).unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&data.join("store"))).unwrap();
        std::fs::create_dir_all(data.join("secrets")).unwrap();
        let rest = EnvironmentAndFiles::new(Some(data.join("secrets")));
        let mut config = HostConfig::new("node-1".parse().unwrap(), data.join("components"));
        config.secrets = Arc::new(StoredSecrets::new(Vault::without_key(), Arc::new(SystemClock), rest));
        of_host(&mut config);
        let host = ControlPlane::start(config, Arc::new(store), Arc::new(ScriptedExecutor), Arc::new(SystemClock))
            .await
            .unwrap();
        let mut config = ApiConfig::new(data, None);
        change(&mut config);
        let api = Api::new(host.clone(), config);
        let router = api.router();
        let world = Self { host, api, router, folder };
        // A host recovers leftover runs before it answers calls.
        while world.get("/readyz").await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        world
    }

    /// A host with module `hello@1.0.0` and a deployment `hello` of it.
    pub async fn with_hello() -> Self {
        let world = Self::new().await;
        world.upload("hello", "1.0.0", b"\0asm workflow").await.is(201);
        world.put("/v1/deployments/hello", json!({"module": "hello@1.0.0", "retry": {"attempts": 1}})).await.is(201);
        world
    }

    /// Sets a secret of the host.
    pub fn secret(&self, name: &str, value: &str) {
        std::fs::write(self.folder.path().join("secrets").join(name), value).unwrap();
    }

    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        TestResponse { status: parts.status, headers: parts.headers, bytes }
    }

    /// Sends a request whose answer is streamed.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let request = build("GET", path, headers, Body::empty());
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Stream {
            headers: response.headers().clone(),
            pieces: response.into_body().into_data_stream(),
            rest: String::new(),
        }
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> TestResponse {
        self.send(build(method, path, headers, body.into())).await
    }

    pub async fn get(&self, path: &str) -> TestResponse {
        self.ask("GET", path, &[], Body::empty()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> TestResponse {
        self.ask("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.ask("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> TestResponse {
        self.ask("DELETE", path, &[], Body::empty()).await
    }

    pub async fn upload(&self, module: &str, version: &str, bytes: &[u8]) -> TestResponse {
        let path = format!("/v1/modules/{module}/versions/{version}");
        self.ask("PUT", &path, &[("content-type", "application/wasm")], bytes.to_vec()).await
    }

    /// Runs `hello` and waits for its end.
    pub async fn run(&self, input: Value) -> TestResponse {
        self.ask("POST", "/v1/deployments/hello/runs", &[("prefer", "wait=20")], input.to_string()).await
    }

    /// Starts a run of `hello` without waiting for its end.
    pub async fn request(&self, input: Value) -> String {
        let run = self.post("/v1/deployments/hello/runs", input).await.is(202).json();
        run["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a run is in that state.
    pub async fn until(&self, id: &str, state: &str) -> Value {
        for _ in 0..2_000 {
            let run = self.get(&format!("/v1/runs/{id}")).await.is(200).json();
            if run["state"] == state {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("run {id} did not come to be {state}");
    }
}

pub fn build(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost");
    }
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body).unwrap()
}

impl TestResponse {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that the answer is a complete problem with that status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        let answered = self.is(status);
        assert_eq!(answered.header("content-type"), "application/problem+json");
        let problem = answered.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/errors/{}", code.replace('/', "-")));
        for field in ["title", "detail", "fix"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {problem}");
        }
        problem
    }
}

/// A streamed answer.
pub struct Stream {
    pub headers: HeaderMap,
    pub pieces: axum::body::BodyDataStream,
    rest: String,
}

impl Stream {
    /// Returns the text up to the next `end`; `None` if the answer ends first.
    pub async fn next(&mut self, end: &str) -> Option<String> {
        use futures_util::StreamExt as _;
        loop {
            if let Some((piece, rest)) = self.rest.split_once(end) {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(piece);
            }
            let piece = tokio::time::timeout(Duration::from_secs(20), self.pieces.next()).await.unwrap()?;
            self.rest.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    /// Returns the next event: its id, name and data.
    pub async fn event(&mut self) -> Option<(String, String, Value)> {
        loop {
            let text = self.next("\n\n").await?;
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            let data = field("data:");
            if !data.is_empty() {
                return Some((field("id:"), field("event:"), serde_json::from_str(&data).unwrap()));
            }
        }
    }
}

/// The schemas of the workflow in a component whose bytes contain `schemas`.
pub const SCHEMAS: &str = r#"{"workflow":{"input":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]},"output":{"type":"object"}}}"#;

/// Guests whose bytes define their exports, and whose input defines their actions.
struct ScriptedExecutor;

#[async_trait]
impl GuestExecutor for ScriptedExecutor {
    async fn admit(&self, file: &Path, _digest: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        let bytes = std::fs::read(file).unwrap();
        let Some(text) = bytes.strip_prefix(b"\0asm") else {
            let problem = |message: &str| ComponentProblem {
                code: Code::ComponentInvalid,
                message: message.to_owned(),
                fix: "Build it as a component.".to_owned(),
            };
            return Err(ComponentRejection {
                problems: vec![problem("no magic number"), problem("no component")],
                host: false,
            });
        };
        let words: Vec<_> = std::str::from_utf8(text).unwrap().split_whitespace().collect();
        let exports = Export::ALL.into_iter().filter(|export| words.contains(&export.as_str())).collect();
        Ok(ComponentInfo {
            exports,
            imports: vec!["tidemill:host/log@0.1.0".to_owned()],
            warnings: Vec::new(),
            schemas: words.contains(&"schemas").then(|| SCHEMAS.to_owned()),
        })
    }

    async fn run(&self, job: Activation) -> ActivationResult {
        let input: Value = match job.export {
            Export::Webhook => body_of(&job.input),
            _ => serde_json::from_slice(&job.input).unwrap(),
        };
        let mut effects = Effects::default();
        let failed = |failure, cause| Outcome::Failed { failure, cause };
        let mut outcome = Outcome::Output(job.input.clone());
        if job.export == Export::Webhook {
            outcome = Outcome::Output(Bytes::from(reply(&input["reply"]).to_string()));
        }
        for line in 0..input["log"].as_u64().unwrap_or(0) {
            job.channel.log(LogLine {
                seq: job.run.next_log_seq + line,
                at: job.run.created_at,
                attempt: job.run.attempt,
                level: LogLevel::Info,
                message: format!("line {line}"),
                fields: vec![("n".to_owned(), line.to_string())],
            });
        }
        if let Some(millis) = input["sleep"].as_u64() {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(millis)) => {}
                () = job.cancel.reached(Urgency::Requested) => {
                    let code = input["undo"].as_str().unwrap_or("host/cancelled");
                    outcome = failed(Failure::new(code, "cancelled by request"), Cause::Guest);
                    let ended = ActivationResult::plain(outcome, effects, Fuel::new(1_000), 65_536);
                    return ActivationResult { notified: true, ..ended };
                }
            }
        }
        if let Some(name) = input["wait"].as_str() {
            return super::waiting::run(job, name, input["children"].as_u64().unwrap_or(0)).await;
        }
        if let Some(code) = input["fail"].as_str() {
            let details = if input["stack"] == true {
                r#"{"stack": [{"function": "run", "offset": 7}, {"function": "main"}]}"#
            } else {
                r#"{"why": [1]}"#
            };
            let failure = Failure::new(code, "it did not work").with_details(details);
            outcome = failed(failure, Cause::Guest);
        }
        if input["trap"] == true {
            outcome = failed(Code::Trap.failure("the guest trapped"), Cause::Trap);
        }
        if input["record"] == true {
            return super::waiting::recorded(job, outcome);
        }
        if job.export == Export::RevenueStream {
            effects.postings.push(entry(&job));
            outcome = Outcome::Output(Bytes::from_static(b"{}"));
        }
        ActivationResult::plain(outcome, effects, Fuel::new(1_000), 65_536)
    }

    async fn dry_run(&self, job: Activation) -> DryRun {
        let input: Value = serde_json::from_slice(&job.input).unwrap();
        match input["would_break"].as_bool() {
            Some(true) => DryRun::Mismatch(Code::JournalMismatch.failure("it makes another call")),
            _ => DryRun::Continues,
        }
    }

    async fn verify(&self, _: ComponentDigest) -> Result<(), EngineError> {
        Ok(())
    }

    async fn source_lines(&self, _: ComponentDigest, places: &[u64]) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        let line = |place: &u64| SourceFrame { line: u32::try_from(*place).ok(), ..SourceFrame::default() };
        Ok(places.iter().map(|place| vec![line(place)]).collect())
    }

    fn evict(&self, _digest: ComponentDigest) {}

    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}

/// The body of a delivery, if it is JSON.
fn body_of(delivery: &[u8]) -> Value {
    let delivery: Value = serde_json::from_slice(delivery).unwrap();
    let body = BASE64.decode(delivery["body"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap_or_default()
}

/// A reply of `webhook.receive`.
fn reply(asked: &Value) -> Value {
    let headers = json!([{ "name": "x-own", "value": "1" }, { "name": "set-cookie", "value": "a=b" }]);
    let body = BASE64.encode(asked["body"].as_str().unwrap_or_default());
    json!({ "status": asked["status"].as_u64().unwrap_or(200), "headers": headers, "body": body })
}

fn entry(job: &Activation) -> NewEntry {
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    NewEntry {
        id: format!("{}-0", job.run.id),
        stream: job.run.deployment.clone().into(),
        run: Some(job.run.id),
        call: EntryCall::Post,
        external_id: job.run.id.to_string(),
        kind: "sale".to_owned(),
        minor_units: 1_999,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: 1_999,
        occurred_at: job.run.created_at,
        customer: Some("c-1".to_owned()),
        description: "a book".to_owned(),
        metadata: r#"{"isbn": "1"}"#.to_owned(),
        legs: vec![leg("receivable", 1_999), leg("revenue", -1_999)],
        of: None,
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: job.run.ledger.paper,
        late_usage_millis: 0,
        customer_floor: None,
        content: ContentHash::default(),
    }
}
