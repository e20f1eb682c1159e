//! A host that may die at any moment, and a caller that copes: it repeats each unanswered request
//! under the same key.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};
use crate::provider::Provider;
use crate::workload::{DEPLOYMENT, OPERATED, PlannedRun, manifest};

/// The host died before it answered.
#[derive(Debug)]
pub struct HostDeath;

/// A host and the provider that its runs call.
pub struct CrashableHost {
    pub process: Host,
    pub provider: Provider,
}

/// A run that the host has acknowledged, by its key.
pub struct AcknowledgedRun {
    pub key: String,
    pub run: Value,
}

impl CrashableHost {
    /// Creates a host on `dir` without starting its process.
    pub async fn on(dir: &Path) -> Self {
        Self { process: Host::not_started(dir), provider: Provider::open().await }
    }

    /// Uploads the guest, which is slow, to a folder that is copied for each seed.
    pub async fn prepare(dir: &Path) {
        let mut host = Host::start(dir).await;
        let (status, answer) = host.upload("survivor", tidemill_artifacts::survivor()).await;
        assert_eq!(status, 201, "{answer}");
        // A run acts on this deployment, which has two revisions.
        for priority in [4, 5] {
            let request = host.http.put(host.url(&format!("/v1/deployments/{OPERATED}")));
            let manifest = json!({ "module": "survivor@1.0.0", "priority": priority }).to_string();
            let answer = request.header("content-type", "application/json").body(manifest).send().await.unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
        }
        assert!(host.stop().success(), "{}", host.output());
    }

    /// Environment of every process, with `more`.
    pub fn env(more: impl IntoIterator<Item = (&'static str, String)>) -> Vec<(&'static str, String)> {
        let mut env = vec![("TIDEMILL_EGRESS_PRIVATE", "all".to_owned())];
        env.extend(more);
        env
    }

    /// Sends a request until the answer is neither 503 nor 429, or the host is dead.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<(u16, Value), HostDeath> {
        let begun = Instant::now();
        loop {
            let Ok(answer) = request().send().await else { return Err(HostDeath) };
            let status = answer.status().as_u16();
            let Ok(text) = answer.text().await else { return Err(HostDeath) };
            // 503: not ready yet. 429: overloaded.
            if status != 503 && status != 429 {
                return Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))));
            }
            assert!(begun.elapsed() < PATIENCE, "{status}: {text}\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn done(&self, request: impl Fn() -> RequestBuilder) -> Result<Value, HostDeath> {
        let (status, body) = self.ask(request).await?;
        assert!((200..300).contains(&status), "{status}: {body}\n{}", self.process.output());
        Ok(body)
    }

    pub async fn get(&self, path: &str) -> Result<Value, HostDeath> {
        self.done(|| self.process.http.get(self.process.url(path))).await
    }

    /// All items of a list, from all its pages.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, HostDeath> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=500{cursor}")).await?;
            items.append(page["items"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<Value, HostDeath> {
        let request = || {
            let mut request = self.process.http.post(self.process.url(path));
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            request.header("content-type", "application/json").body(body.to_string())
        };
        self.done(request).await
    }

    /// Deploys the guest and opens the accounts.
    pub async fn open(&self) -> Result<(), HostDeath> {
        let manifest = manifest(&self.provider).to_string();
        let request = || {
            let request = self.process.http.put(self.process.url(&format!("/v1/deployments/{DEPLOYMENT}")));
            request.header("content-type", "application/json").body(manifest.clone())
        };
        self.done(request).await?;
        let opened = self.run("open", &json!({ "do": "open" })).await?;
        assert_eq!(opened["state"], "succeeded", "{opened}");
        Ok(())
    }

    async fn request(&self, key: &str, input: &Value) -> Result<String, HostDeath> {
        let run = self.post(&format!("/v1/deployments/{DEPLOYMENT}/runs"), Some(key), input).await?;
        Ok(run["id"].as_str().unwrap().to_owned())
    }

    /// Requests a run and waits for its end.
    pub async fn run(&self, key: &str, input: &Value) -> Result<Value, HostDeath> {
        let id = self.request(key, input).await?;
        self.settled(&id).await
    }

    async fn settled(&self, id: &str) -> Result<Value, HostDeath> {
        let begun = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).await?;
            if ["succeeded", "failed", "cancelled", "parked"].contains(&run["state"].as_str().unwrap()) {
                return Ok(run);
            }
            assert!(begun.elapsed() < PATIENCE, "the run does not end: {run}\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Requests a run, sends its signal, and waits for its end.
    async fn complete(&self, planned: &PlannedRun) -> Result<AcknowledgedRun, HostDeath> {
        let id = self.request(&planned.key, &planned.input).await?;
        if let Some((name, payload)) = &planned.signal {
            let path = format!("/v1/runs/{id}/signals/{name}");
            let request = || {
                let request = self.process.http.post(self.process.url(&path)).header("idempotency-key", "the-one");
                request.header("content-type", "application/json").body(payload.to_string())
            };
            let (status, answer) = self.ask(request).await?;
            // 409: the run has ended. The signal arrived before the last crash, its answer did not.
            assert!([200, 202, 409].contains(&status), "{status}: {answer}\n{}", self.process.output());
        }
        let mut run = self.settled(&id).await?;
        if run["state"] == "parked" && run["failure"]["code"] == "host/crash-suspect" {
            // The run was active at three crashes without causing them. Retry it, as an operator
            // does.
            self.post(&format!("/v1/runs/{id}/retry"), None, &json!({})).await?;
            run = self.settled(&id).await?;
        }
        Ok(AcknowledgedRun { key: planned.key.clone(), run })
    }

    /// Completes all work, and resumes what an earlier process has begun.
    pub async fn work(&self, all: &[PlannedRun]) -> Result<Vec<AcknowledgedRun>, HostDeath> {
        self.open().await?;
        let known = try_join_all(all.iter().map(|planned| self.complete(planned))).await?;
        self.wait_until_idle().await?;
        Ok(known)
    }

    /// Waits until every event is delivered and all runs have ended.
    async fn wait_until_idle(&self) -> Result<(), HostDeath> {
        let begun = Instant::now();
        loop {
            let waiting: u64 =
                self.list("/v1/subscriptions").await?.iter().map(|one| one["waiting"].as_u64().unwrap()).sum();
            let open = self.get("/v1/runs?state=queued&state=running&state=suspended&state=parked&limit=500").await?;
            let open = open["items"].as_array().unwrap().clone();
            if waiting == 0 && open.is_empty() {
                return Ok(());
            }
            for run in open.iter().filter(|run| run["failure"]["code"] == "host/crash-suspect") {
                self.post(&format!("/v1/runs/{}/retry", run["id"].as_str().unwrap()), None, &json!({})).await?;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{waiting} events are not delivered, and {open:?} have not ended\n{}",
                self.process.output()
            );
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Waits for the end of a process that did not answer.
    pub async fn wait_for_end(&mut self) {
        let begun = Instant::now();
        while !self.process.has_died() {
            assert!(begun.elapsed() < PATIENCE, "the host is alive but does not answer:\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
