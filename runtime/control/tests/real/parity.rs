//! The programs of `tests/guests/parity` on a host. The tests of that crate run them in the SDK's
//! test harness: both give the results of its table.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidemill_control::{ControlPlane, RunRequest, SignalTarget};
use tidemill_core::manifest::{Manifest, ModuleFile};
use tidemill_core::run::RunState;
use tidemill_store::records::RunRequestResult;

use super::server::{self, Server};
use super::{HostEpoch, LONG, World, name};

const PROGRAMS: &str = include_str!("../../../../tests/guests/parity/programs.json");
const MANIFEST: &str = include_str!("../../../../tests/guests/parity/tidemill.toml");

pub async fn the_host_gives_what_the_harness_gives(world: &World, epoch: &HostEpoch) {
    let counts: Mutex<HashMap<String, u32>> = Mutex::default();
    let server = Server::start(move |asked, _| {
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        let mut counts = counts.lock();
        let nth = counts.entry(path.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        match (path, *nth) {
            ("/ok", _) => server::ok("fine"),
            ("/busy", 1 | 2) | ("/busy-again", _) => server::answer("503 Busy", "", ""),
            ("/later", 1) => server::answer("503 Busy", "retry-after: 1\r\n", ""),
            ("/busy" | "/later", _) => server::ok(""),
            _ => server::answer("404 Not Found", "", ""),
        }
    })
    .await;
    let host = &epoch.0;
    world.upload(host, "parity").await;
    let manifest = MANIFEST.replace("http://127.0.0.1:8080", &server.origin());
    host.deploy(ModuleFile::parse_toml(&manifest).unwrap().manifest, None, false).await.unwrap();
    for (name, priority) in [("operated", 4), ("operated", 5), ("paused-by-hand", 5)] {
        let operated = json!({ "name": name, "module": "parity@1.0.0", "priority": priority });
        host.deploy(Manifest::parse_json(operated.to_string().as_bytes()).unwrap(), None, false).await.unwrap();
    }
    host.pause(&name("paused-by-hand"), "a test".to_owned()).await.unwrap();
    let programs: Vec<Value> = serde_json::from_str(PROGRAMS).unwrap();
    let mut differences = Vec::new();
    for case in &programs {
        differences.extend(difference(world, host, case, &server.origin()).await);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Returns how a program differs from its row in the table.
async fn difference(world: &World, host: &ControlPlane, case: &Value, server: &str) -> Option<String> {
    let program = case["program"].as_str().unwrap();
    let input = json!({ "program": program, "server": server }).to_string();
    let RunRequestResult::Created(run) = host.request(RunRequest::new(name("parity"), input)).await.unwrap() else {
        panic!("{program} runs once")
    };
    for (signal, payload) in case["signals"].as_object().into_iter().flatten() {
        let payload = payload.to_string().into_bytes();
        host.signal(SignalTarget::Run(run.id), signal.clone(), payload.into(), None).await.unwrap();
    }
    if case["cancel"] == true {
        world.until(run.id, |run| run.state == RunState::Suspended).await;
        host.cancel(run.id, false).await.unwrap();
    }
    let run = world.until(run.id, |run| run.state.is_settled()).await;
    let result = match (&run.state, run.state.failure()) {
        (RunState::Succeeded, _) => json!({ "succeeded": world.output(run.id).await }),
        (RunState::Cancelled, _) => json!("cancelled"),
        (_, Some(failure)) => json!({ "failed": failure.code, "attempts": run.attempt }),
        (state, None) => json!(state.name()),
    };
    let read = json!({ "program": "read-state", "server": format!("{program}/") }).to_string();
    let read = host.invoke(RunRequest::new(name("parity"), read), LONG).await.unwrap();
    let state: Value = serde_json::from_slice(&read.output.unwrap()).unwrap();
    let found = json!({ "result": result, "state": state });
    let expected = json!({ "result": case["result"], "state": case.get("state").unwrap_or(&json!({})) });
    (found != expected).then(|| format!("{program}: {found}, expected {expected}"))
}
