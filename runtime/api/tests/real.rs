//! One path through real parts only: a guest built from source, compiled in a child process, run in
//! the sandbox, committed to a store, and called over a socket.
//!
//! It has its own `main`, because the engine compiles by starting the current program.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where something is not as it must be")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemill_api::{Api, ApiConfig};
use tidemill_control::{ControlPlane, HostConfig};
use tidemill_core::Clock;
use tidemill_core::clock::SystemClock;
use tidemill_engine::{CompilerCommand, Engine, EngineConfig};
use tidemill_store::{EmbeddedStore, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "compile-component") {
        return tidemill_engine::compile_component_main(&args[1..]);
    }
    if args.iter().any(|arg| arg == "--list") {
        if !args.iter().any(|arg| arg == "--ignored") {
            println!("{TEST}: test");
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(a_component_is_uploaded_deployed_and_run_and_a_restart_knows_it());
    println!("test {TEST} ... ok");
    ExitCode::SUCCESS
}

/// The name of the test for test runners.
const TEST: &str = "a_component_is_uploaded_deployed_and_run_and_a_restart_knows_it";

struct RealHost {
    host: ControlPlane,
    url: String,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

async fn start(data: &std::path::Path) -> RealHost {
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&data.join("store"))).unwrap();
    let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (Arc::new(store), Arc::new(SystemClock));
    let compiler = CompilerCommand::this_program().unwrap();
    let mut config = EngineConfig::new(data, compiler);
    config.concurrency = 16;
    let engine = Engine::new(config, Arc::clone(&store), Arc::clone(&clock)).unwrap();
    let config = HostConfig::new("node-1".parse().unwrap(), data.join("components"));
    let host = ControlPlane::start(config, store, engine, clock).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Api::new(host.clone(), ApiConfig::new(data, Some("s3cret".to_owned())));
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(async move {
        api.serve(listener, async { drop(stopped.await) }, Duration::from_secs(5)).await;
    });
    RealHost { host, url, stop, ended }
}

impl RealHost {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
        self.host.shutdown(Duration::from_secs(5)).await;
    }

    async fn send(&self, request: reqwest::RequestBuilder, status: u16) -> Value {
        let answer = request.bearer_auth("s3cret").send().await.unwrap();
        let (was, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(was, status, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

async fn a_component_is_uploaded_deployed_and_run_and_a_restart_knows_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let component = std::fs::read(tidemill_artifacts::build("hello").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();

    let served = start(folder.path()).await;
    let url = |path: &str| format!("{}{path}", served.url);
    let version = url("/v1/modules/hello/versions/0.1.0");
    let noise = served.send(client.put(&version).body(vec![7; 200]), 422).await;
    assert_eq!(noise["code"], "host/component-invalid");
    let uploaded = served.send(client.put(&version).body(component.clone()), 201).await;
    assert!(uploaded["exports"].as_array().unwrap().contains(&json!("workflow")), "{uploaded}");
    assert_eq!(uploaded["size"], component.len());
    let manifest = json!({"module": "hello@0.1.0", "config": {"greeting": "Welcome"}});
    served.send(client.put(url("/v1/deployments/hello")).json(&manifest), 201).await;

    let ask = || client.post(url("/v1/deployments/hello/runs")).header("prefer", "wait=30");
    let run = served.send(ask().json(&json!({"name": "Ada"})), 200).await;
    assert_eq!(run["output"], json!({"message": "Welcome, Ada!", "times": 1, "total": 1}), "{run}");
    assert!(run["fuel"].as_u64().unwrap() > 1_000 && run["peak_memory"].as_u64().unwrap() > 10_000, "{run}");
    let logs = served.send(client.get(url(&format!("/v1/runs/{}/logs", run["id"].as_str().unwrap()))), 200).await;
    assert_eq!(logs["items"][0]["message"], "Welcome, Ada!");
    assert_eq!(logs["items"][0]["fields"]["name"], "Ada");
    served.end().await;

    let served = start(folder.path()).await;
    let url = |path: &str| format!("{}{path}", served.url);
    let known = served.send(client.get(url(&format!("/v1/runs/{}", run["id"].as_str().unwrap()))), 200).await;
    assert_eq!(known, run);
    let ask = client.post(url("/v1/deployments/hello/runs")).header("prefer", "wait=30");
    let again = served.send(ask.json(&json!({"name": "Ada"})), 200).await;
    assert_eq!(again["output"], json!({"message": "Welcome again, Ada!", "times": 2, "total": 2}), "{again}");
    served.end().await;
}
