//! Queued runs: retries with back-off, parking, cancellation, lifetime, and saved progress.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::{RetryRequest, RunRequest};
use tidemill_core::run::{Progress, RunState};
use tidemill_core::{Code, Failure};
use tidemill_engine::{Cause, Urgency};
use tidemill_store::records::{LogLevel, LogLine};
use tokio::sync::Semaphore;

use crate::fixture::guests::{failure, output, wait};
use crate::fixture::{START, TestHost, name};

fn line(job: &tidemill_control::Activation, text: &str) -> LogLine {
    LogLine {
        seq: job.run.next_log_seq,
        at: START,
        attempt: job.run.attempt,
        level: LogLevel::Info,
        message: text.to_owned(),
        fields: Vec::new(),
    }
}

#[tokio::test]
async fn a_failed_run_is_retried_after_its_back_off_and_then_parks() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "retry": { "attempts": 3, "initial": "1s", "jitter": 0.0 } })).await;
    world.guests.act(|job| async move {
        job.channel.log(line(&job, "tried"));
        failure(true, Cause::Guest)
    });
    let run = world.request("a").await;
    world.tick().await;
    let again = world.until(run.id, |run| run.attempt == 2).await;
    assert_eq!(again.state, RunState::Queued { not_before: START.plus_millis(1_000) });

    // One millisecond too early.
    world.clock.advance(999);
    world.tick().await;
    assert_eq!(world.guests.begun(), 1);
    world.clock.advance(1);
    world.tick().await;
    let again = world.until(run.id, |run| run.attempt == 3).await;
    assert_eq!(again.state, RunState::Queued { not_before: START.plus_millis(3_000) });

    world.clock.advance(2_000);
    world.tick().await;
    let parked = world.until_settled(run.id).await;
    let RunState::Parked(failure) = &parked.state else { panic!("{parked:?}") };
    assert_eq!(failure.code, "host/retries-exhausted");
    assert_eq!(serde_json::from_str::<Failure>(failure.details.as_ref().unwrap()).unwrap().code, "no-luck");
    assert_eq!(parked.fuel.get(), 300);
    assert_eq!(world.guests.begun(), 3);
    let lines = world.store.logs(run.id, 0, 10).await.unwrap().lines;
    assert_eq!(lines.iter().map(|line| (line.seq, line.attempt)).collect::<Vec<_>>(), [(0, 1), (1, 2), (2, 3)]);

    // The operator has fixed the cause.
    world.guests.act(|_| async { output("1") });
    world.host.idle().await;
    world.host.retry(run.id, RetryRequest::default()).await.unwrap();
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert_eq!(world.host.retry(run.id, RetryRequest::default()).await.unwrap_err().code(), Code::RunState);
}

#[tokio::test]
async fn traps_are_retried_only_on_explicit_request() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.deploy(json!({ "name": "b", "retry": { "on_trap": true, "jitter": 0.0 } })).await;
    world.guests.act(|_| async { failure(false, Cause::Trap) });
    let (a, b) = (world.request("a").await, world.request("b").await);
    world.tick().await;
    assert_eq!(world.until_settled(a.id).await.state.name(), "parked");
    let again = world.until(b.id, |run| run.attempt == 2).await;
    assert_eq!(again.state, RunState::Queued { not_before: START.plus_millis(1_000) });
}

#[tokio::test]
async fn a_caller_waits_through_the_back_off() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "retry": { "initial": "1ms", "jitter": 0.0 } })).await;
    world.guests.act(|job| async move { if job.run.attempt == 1 { failure(true, Cause::Guest) } else { output("2") } });
    let host = world.host.clone();
    let call =
        tokio::spawn(
            async move { host.invoke(RunRequest::new(name("a"), "{}"), Duration::from_secs(60)).await.unwrap() },
        );
    let queued = world.first_in("queued").await;
    assert_eq!(queued.attempt, 2);
    world.clock.advance(1);
    // The dispatcher sleeps by the system clock. Another request wakes it.
    world.request("a").await;
    let invoked = call.await.unwrap();
    assert_eq!((invoked.run.id, invoked.run.state.name()), (queued.id, "succeeded"));
}

#[tokio::test]
async fn a_queued_run_is_cancelled_without_notification() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let run = world.request("a").await;
    assert_eq!(world.host.cancel(run.id, false).await.unwrap().state, RunState::Cancelled);
    world.tick().await;
    assert_eq!(world.guests.begun(), 0);
    // A repeated request succeeds.
    assert_eq!(world.host.cancel(run.id, false).await.unwrap().state, RunState::Cancelled);
}

#[tokio::test]
async fn a_running_run_is_notified_and_ends_cancelled_with_its_compensation() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let store = Arc::clone(&world.store);
    world.guests.act(move |job| {
        let store = Arc::clone(&store);
        async move {
            job.cancel.reached(Urgency::Requested).await;
            let mut ended = crate::fixture::guests::count(&store, &job).await;
            ended.outcome = failure(false, Cause::Guest).outcome;
            ended.notified = true;
            ended
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    world.host.cancel(run.id, false).await.unwrap();
    assert_eq!(world.until_settled(run.id).await.state, RunState::Cancelled);
    assert!(world.store.state(&name("a"), "n").await.unwrap().value.is_some());
}

#[tokio::test]
async fn a_run_past_its_lifetime_fails() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "limits": { "lifetime": "10s" } })).await;
    world.guests.act(|job| async move {
        job.cancel.reached(Urgency::Now).await;
        failure(false, Cause::Cancelled)
    });
    let run = world.request("a").await;
    // It started, was interrupted by a crash, and is claimed again after its lifetime.
    let owner = world.host.owner().clone();
    world.store.claim(&owner, &name("a"), 1, START).await.unwrap();
    world.clock.advance(11_000);
    let mut world = world;
    drop(world.next_epoch().await);
    world.tick().await;
    let parked = world.until_settled(run.id).await;
    assert_eq!(parked.state.failure().unwrap().code, "host/limit-lifetime");
    assert!(parked.state.failure().unwrap().message.contains("10000 ms"));
}

#[tokio::test]
async fn output_of_a_running_run_is_saved_before_it_ends() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    world.guests.act(move |job| {
        let gate = Arc::clone(&held);
        async move {
            job.channel.log(line(&job, "half way"));
            job.channel.progress(Progress { done: 1, total: Some(2), note: String::new() });
            wait(&gate, &job).await.unwrap_or_else(|| output("1"))
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    let running = world.until(run.id, |run| run.progress.is_some()).await;
    assert_eq!(running.state.name(), "running");
    assert_eq!(world.store.logs(run.id, 0, 10).await.unwrap().lines.len(), 1);
    gate.add_permits(1);
    world.until_settled(run.id).await;
    assert_eq!(world.store.logs(run.id, 0, 10).await.unwrap().lines.len(), 1);
}

#[tokio::test]
async fn a_delayed_run_starts_when_it_is_due() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let delayed = RunRequest { delay: Some(Duration::from_secs(60)), ..RunRequest::new(name("a"), "{}") };
    world.host.request(delayed).await.unwrap();
    world.tick().await;
    assert_eq!(world.guests.begun(), 0);
    world.clock.advance(60_000);
    world.tick().await;
    world.guests.have_begun(1).await;
}
