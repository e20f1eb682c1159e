//! Synchronous invocation: what the caller receives, what is durable by then, and what a key
//! guarantees.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::Code;
use tidemill_core::run::{Progress, RunState};
use tidemill_engine::Cause;
use tidemill_store::records::{LogLevel, LogLine, RunFilter};
use tokio::sync::Semaphore;

use crate::fixture::guests::{failure, output, wait};
use crate::fixture::{START, TestHost, name};

const LONG: Duration = Duration::from_secs(60);

fn ask(input: &'static str) -> RunRequest {
    RunRequest::new(name("a"), input)
}

fn keyed(key: &str, input: &'static str) -> RunRequest {
    RunRequest { key: Some(key.to_owned()), ..ask(input) }
}

#[tokio::test]
async fn a_call_costs_one_commit() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move { output(std::str::from_utf8(&job.input).unwrap()) });
    let before = world.store.committed().borrow().position;
    let invoked = world.host.invoke(ask(r#"{"x":1}"#), LONG).await.unwrap();
    assert_eq!(world.store.committed().borrow().position, before + 1);
    assert!(invoked.run.state.is_settled() && !invoked.replayed);
    assert_eq!(invoked.output.as_deref(), Some(br#"{"x":1}"#.as_slice()));
    assert_eq!(invoked.run.state, RunState::Succeeded);
    assert_eq!(world.run(invoked.run.id).await, invoked.run);
    assert_eq!(world.store.output(invoked.run.id).await.unwrap(), invoked.output);
    assert_eq!((invoked.run.fuel.get(), invoked.run.peak_memory), (100, 65_536));
}

#[tokio::test]
async fn a_failed_run_is_an_answer() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "retry": { "then": "fail" } })).await;
    world.guests.act(|_| async { failure(false, Cause::Guest) });
    let invoked = world.host.invoke(ask("{}"), LONG).await.unwrap();
    assert!(invoked.run.state.is_settled());
    assert_eq!(invoked.run.state.failure().unwrap().code, "no-luck");
    assert_eq!(invoked.run.state.name(), "failed");
}

#[tokio::test]
async fn a_run_that_takes_longer_becomes_visible_as_running() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    world.guests.act(move |job| {
        let gate = Arc::clone(&held);
        async move {
            job.channel.progress(Progress { done: 1, total: Some(2), note: "half".to_owned() });
            wait(&gate, &job).await.unwrap_or_else(|| output("7"))
        }
    });
    let host = world.host.clone();
    let call = tokio::spawn(async move { host.invoke(ask("{}"), LONG).await });
    let run = world.first_in("running").await;
    assert_eq!(run.started_at, Some(START));
    gate.add_permits(1);
    let invoked = call.await.unwrap().unwrap();
    assert_eq!((invoked.run.id, invoked.run.state.name()), (run.id, "succeeded"));
    assert_eq!(invoked.run.progress.unwrap().note, "half");
}

#[tokio::test]
async fn a_run_is_durable_before_its_request_leaves() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.act(|mut guest| async move {
        let id = guest.job.run.id;
        assert!(guest.store.run(id).await.unwrap().is_none());
        guest.send(async { "{}".to_owned() }).await.unwrap();
        assert_eq!(guest.store.run(id).await.unwrap().unwrap().state.name(), "running");
        Ok(guest.succeed("1"))
    });
    let invoked = world.host.invoke(ask("{}"), LONG).await.unwrap();
    assert_eq!(invoked.run.state.name(), "succeeded");
}

#[tokio::test]
async fn a_disconnected_caller_stops_nothing() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = world.guests.gated("7");
    let host = world.host.clone();
    let call = tokio::spawn(async move { host.invoke(ask("{}"), LONG).await });
    world.guests.have_begun(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    let run = world.first_in("succeeded").await;
    assert_eq!(world.store.output(run.id).await.unwrap().as_deref(), Some(b"7".as_slice()));
}

#[tokio::test]
async fn a_timed_out_wait_returns_a_stored_run() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = world.guests.gated("7");
    let invoked = world.host.invoke(ask("{}"), Duration::from_millis(1)).await.unwrap();
    assert!(!invoked.run.state.is_settled());
    assert_eq!(world.run(invoked.run.id).await.state.name(), "running");
    gate.add_permits(1);
    assert_eq!(world.until_settled(invoked.run.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn repeated_keys_return_the_same_run() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move { output(&format!("\"{}\"", job.run.id)) });
    let first = world.host.invoke(keyed("k", "{}"), LONG).await.unwrap();
    let again = world.host.invoke(keyed("k", "{}"), LONG).await.unwrap();
    assert!(again.replayed && again.run.state.is_settled());
    assert_eq!((again.run, again.output), (first.run, first.output));
    assert_eq!(world.guests.begun(), 1);
    let other = world.host.invoke(keyed("k", "[]"), LONG).await.unwrap_err();
    assert_eq!(other.code(), Code::IdempotencyMismatch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_with_one_key_create_one_run() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency": 64 })).await;
    let all = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&all);
    world.guests.act(move |job| {
        let gate = Arc::clone(&held);
        async move { wait(&gate, &job).await.unwrap_or_else(|| output(&format!("\"{}\"", job.run.id))) }
    });
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let host = world.host.clone();
            tokio::spawn(async move { host.invoke(keyed("k", "{}"), LONG).await.unwrap() })
        })
        .collect();
    world.guests.have_begun(1).await;
    all.add_permits(64);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.output == answers[0].output && answer.run.id == answers[0].run.id));
    assert_eq!(world.runs(RunFilter::default()).await.len(), 1);
}

#[tokio::test]
async fn guest_output_is_stored_with_the_result() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        for n in 0..3 {
            job.channel.log(LogLine {
                seq: job.run.next_log_seq + n,
                at: START,
                attempt: job.run.attempt,
                level: LogLevel::Info,
                message: format!("line {n}"),
                fields: Vec::new(),
            });
        }
        job.channel.status(r#"{"phase":"done"}"#.to_owned());
        output("1")
    });
    let invoked = world.host.invoke(ask("{}"), LONG).await.unwrap();
    let lines = world.store.logs(invoked.run.id, 0, 10).await.unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["line 0", "line 1", "line 2"]);
    assert_eq!(invoked.run.status.as_deref(), Some(r#"{"phase":"done"}"#));
}

#[tokio::test]
async fn invalid_json_never_becomes_a_run() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let refused = world.host.invoke(ask("{"), LONG).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadJson);
    let unknown = world.host.invoke(RunRequest::new(name("b"), "{}"), LONG).await.unwrap_err();
    assert_eq!(unknown.code(), Code::DeploymentNotFound);
    let long = RunRequest { key: Some("k".repeat(256)), ..ask("{}") };
    assert_eq!(world.host.invoke(long, LONG).await.unwrap_err().code(), Code::BadField);
    assert_eq!(world.guests.begun(), 0);
    assert!(world.runs(RunFilter::default()).await.is_empty());
}
