//! Runs that are asked to end: told once and in order, ended at once, or with their deployment.

use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::RunState;
use tidemill_engine::{Cause, Urgency};

use crate::guests::{ended, failed};
use crate::world::{BOTH_WAYS, World, name};

fn listening(world: &World) {
    world.act(|mut guest| async move {
        let came = guest.signal("go").await?;
        // It compensates, and ends as it likes.
        guest.count("undone").await;
        Ok(guest.succeed(if came.as_ref() == b"cancelled" { "null" } else { "1" }))
    });
}

#[tokio::test]
async fn a_run_that_waits_is_told_and_ends_cancelled_with_what_it_did_then() {
    for change in BOTH_WAYS {
        let world = World::still_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        listening(&world);
        let run = world.request("a").await;
        world.turn().await;
        world.until(run.id, |run| run.state == RunState::Suspended).await;
        world.host.idle().await;
        let asked = world.host.cancel(run.id, false).await.unwrap();
        assert!(!asked.cancel.unwrap().terminate);
        world.turn().await;
        let cancelled = world.until_settled(run.id).await;
        assert_eq!(cancelled.state, RunState::Cancelled);
        assert!(world.store.state(&name("a"), "undone").await.unwrap().value.is_some());
    }
}

#[tokio::test]
async fn one_that_is_terminated_while_it_waits_ends_at_once() {
    for change in BOTH_WAYS {
        let world = World::still_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        listening(&world);
        let host = world.host.clone();
        let ask = RunRequest::new(name("a"), "{}");
        let call = tokio::spawn(async move { host.invoke(ask, Duration::from_secs(60)).await.unwrap() });
        let run = world.first_in("suspended").await;
        assert_eq!(world.host.cancel(run.id, true).await.unwrap().state, RunState::Cancelled);
        // Who waited for it hears of it.
        assert_eq!(call.await.unwrap().run.state, RunState::Cancelled);
        world.turn().await;
        assert_eq!(world.guests.begun(), 1);
        assert!(world.store.state(&name("a"), "undone").await.unwrap().value.is_none());
    }
}

#[tokio::test]
async fn whoever_asks_twice_ends_it_at_once() {
    let world = World::still().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        job.cancel.reached(Urgency::Now).await;
        ended(failed(false, Cause::Cancelled))
    });
    let run = world.request("a").await;
    world.turn().await;
    world.guests.have_begun(1).await;
    assert_eq!(world.host.cancel(run.id, false).await.unwrap().state.name(), "running");
    world.host.cancel(run.id, false).await.unwrap();
    assert_eq!(world.until_settled(run.id).await.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_deployment_goes_with_the_runs_that_wait() {
    let world = World::still().await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let run = world.request("a").await;
    world.turn().await;
    world.until(run.id, |run| run.state == RunState::Suspended).await;
    assert!(world.host.delete(&name("a"), false).await.is_err());
    world.host.delete(&name("a"), true).await.unwrap();
    assert_eq!(world.run(run.id).await.state, RunState::Cancelled);
}
