//! A host that may die at any moment, and a caller who is not troubled by it: whatever got no answer is asked again under the same key.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};
use crate::provider::Provider;
use crate::workload::{Asked, DEPLOYMENT, manifest};

/// The host died before it answered.
#[derive(Debug)]
pub struct Died;

/// A host and what it has to do with.
pub struct Mortal {
    pub host: Host,
    pub provider: Provider,
}

/// A run that the host has answered for.
pub struct Known {
    pub key: String,
    pub run: Value,
}

impl Mortal {
    /// On `dir`, without a process yet.
    pub async fn on(dir: &Path) -> Self {
        Self { host: Host::asleep(dir), provider: Provider::open().await }
    }

    /// Uploads the guest, which takes a while, to a folder that others are copied from.
    pub async fn prepare(dir: &Path) {
        let mut host = Host::start(dir).await;
        let (status, answer) = host.upload("survivor", tidemill_artifacts::survivor()).await;
        assert_eq!(status, 201, "{answer}");
        assert!(host.stop().success(), "{}", host.said());
    }

    /// What the environment says in every life.
    pub fn env(more: impl IntoIterator<Item = (&'static str, String)>) -> Vec<(&'static str, String)> {
        let mut env = vec![("TIDEMILL_EGRESS_PRIVATE", "all".to_owned())];
        env.extend(more);
        env
    }

    /// Sends until there is an answer that is not 503, or the host is dead.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<(u16, Value), Died> {
        let begun = Instant::now();
        loop {
            let Ok(answer) = request().send().await else { return Err(Died) };
            let status = answer.status().as_u16();
            let Ok(text) = answer.text().await else { return Err(Died) };
            // Not ready yet, or overloaded.
            if status != 503 && status != 429 {
                return Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))));
            }
            assert!(begun.elapsed() < PATIENCE, "{status}: {text}\n{}", self.host.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn done(&self, request: impl Fn() -> RequestBuilder) -> Result<Value, Died> {
        let (status, body) = self.ask(request).await?;
        assert!((200..300).contains(&status), "{status}: {body}\n{}", self.host.said());
        Ok(body)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Died> {
        self.done(|| self.host.http.get(self.host.url(path))).await
    }

    /// Every item of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, Died> {
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

    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<Value, Died> {
        let request = || {
            let mut request = self.host.http.post(self.host.url(path));
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            request.header("content-type", "application/json").body(body.to_string())
        };
        self.done(request).await
    }

    /// Deploys the guest and opens the accounts.
    pub async fn open(&self) -> Result<(), Died> {
        let manifest = manifest(&self.provider).to_string();
        let request = || {
            let request = self.host.http.put(self.host.url(&format!("/v1/deployments/{DEPLOYMENT}")));
            request.header("content-type", "application/json").body(manifest.clone())
        };
        self.done(request).await?;
        let opened = self.run("open", &json!({ "do": "open" })).await?;
        assert_eq!(opened["state"], "succeeded", "{opened}");
        Ok(())
    }

    async fn request(&self, key: &str, input: &Value) -> Result<String, Died> {
        let run = self.post(&format!("/v1/deployments/{DEPLOYMENT}/runs"), Some(key), input).await?;
        Ok(run["id"].as_str().unwrap().to_owned())
    }

    /// Asks for a run and waits for its end.
    pub async fn run(&self, key: &str, input: &Value) -> Result<Value, Died> {
        let id = self.request(key, input).await?;
        self.settled(&id).await
    }

    async fn settled(&self, id: &str) -> Result<Value, Died> {
        let begun = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).await?;
            if ["succeeded", "failed", "cancelled", "parked"].contains(&run["state"].as_str().unwrap()) {
                return Ok(run);
            }
            assert!(begun.elapsed() < PATIENCE, "the run does not end: {run}\n{}", self.host.said());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Asks for a run, sends it its signal, and waits for its end.
    async fn see_through(&self, asked: &Asked) -> Result<Known, Died> {
        let id = self.request(&asked.key, &asked.input).await?;
        if let Some((name, payload)) = &asked.signal {
            let path = format!("/v1/runs/{id}/signals/{name}");
            let request = || {
                let request = self.host.http.post(self.host.url(&path)).header("idempotency-key", "the-one");
                request.header("content-type", "application/json").body(payload.to_string())
            };
            let (status, answer) = self.ask(request).await?;
            // It has ended, where the signal came before the last death and its answer did not.
            assert!([200, 202, 409].contains(&status), "{status}: {answer}\n{}", self.host.said());
        }
        let mut run = self.settled(&id).await?;
        if run["state"] == "parked" && run["failure"]["code"] == "host/crash-suspect" {
            // It was there at every death, by no fault of its own. That is for a person to say.
            self.post(&format!("/v1/runs/{id}/retry"), None, &json!({})).await?;
            run = self.settled(&id).await?;
        }
        Ok(Known { key: asked.key.clone(), run })
    }

    /// All of it, from the beginning or from wherever the last life came to.
    pub async fn work(&self, all: &[Asked]) -> Result<Vec<Known>, Died> {
        self.open().await?;
        let known = try_join_all(all.iter().map(|asked| self.see_through(asked))).await?;
        self.quiet().await?;
        Ok(known)
    }

    /// Waits until every event is delivered and the runs that events made have ended.
    async fn quiet(&self) -> Result<(), Died> {
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
            assert!(begun.elapsed() < PATIENCE, "{waiting} events wait, and {open:?}\n{}", self.host.said());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Waits until the process that gave no answer has really ended.
    pub async fn bury(&mut self) {
        let begun = Instant::now();
        while !self.host.has_died() {
            assert!(begun.elapsed() < PATIENCE, "the host lives, and does not answer:\n{}", self.host.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
