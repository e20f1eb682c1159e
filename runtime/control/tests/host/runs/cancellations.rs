//! Cancelled runs: notified once and in order, terminated at once, or deleted with their
//! deployment.

use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::RunState;
use tidemill_engine::{Cause, Urgency};

use crate::fixture::guests::{ended, failed};
use crate::fixture::{BOTH_WAYS, TestHost, name};

fn listening(world: &TestHost) {
    world.act(|mut guest| async move {
        let came = guest.signal("go").await?;
        // It compensates and returns its own result.
        guest.count("undone").await;
        Ok(guest.succeed(if came.as_ref() == b"cancelled" { "null" } else { "1" }))
    });
}

#[tokio::test]
async fn a_waiting_run_is_notified_and_ends_cancelled_with_its_compensation() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        listening(&world);
        let run = world.request("a").await;
        world.tick().await;
        world.until(run.id, |run| run.state == RunState::Suspended).await;
        world.host.idle().await;
        let asked = world.host.cancel(run.id, false).await.unwrap();
        assert!(!asked.cancel.unwrap().terminate);
        world.tick().await;
        let cancelled = world.until_settled(run.id).await;
        assert_eq!(cancelled.state, RunState::Cancelled);
        assert!(world.store.state(&name("a"), "undone").await.unwrap().value.is_some());
    }
}

#[tokio::test]
async fn a_waiting_run_that_is_terminated_ends_at_once() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        listening(&world);
        let host = world.host.clone();
        let ask = RunRequest::new(name("a"), "{}");
        let call = tokio::spawn(async move { host.invoke(ask, Duration::from_secs(60)).await.unwrap() });
        let run = world.first_in("suspended").await;
        assert_eq!(world.host.cancel(run.id, true).await.unwrap().state, RunState::Cancelled);
        // A waiting caller is notified.
        assert_eq!(call.await.unwrap().run.state, RunState::Cancelled);
        world.tick().await;
        assert_eq!(world.guests.begun(), 1);
        assert!(world.store.state(&name("a"), "undone").await.unwrap().value.is_none());
    }
}

#[tokio::test]
async fn a_second_cancel_request_terminates_the_run() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        job.cancel.reached(Urgency::Now).await;
        ended(failed(false, Cause::Cancelled))
    });
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    assert_eq!(world.host.cancel(run.id, false).await.unwrap().state.name(), "running");
    world.host.cancel(run.id, false).await.unwrap();
    assert_eq!(world.until_settled(run.id).await.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_deployment_is_deleted_with_its_waiting_runs() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let run = world.request("a").await;
    world.tick().await;
    world.until(run.id, |run| run.state == RunState::Suspended).await;
    assert!(world.host.delete(&name("a"), false).await.is_err());
    world.host.delete(&name("a"), true).await.unwrap();
    assert_eq!(world.run(run.id).await.state, RunState::Cancelled);
}
