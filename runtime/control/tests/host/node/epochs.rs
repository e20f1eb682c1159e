//! Epochs of a node: runs left by a crash are recovered once, and runs left by a shutdown return to
//! the queue.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::RunState;
use tidemill_core::{Code, RunId};
use tidemill_store::records::RecoveryFilter;
use tokio::sync::Semaphore;

use crate::fixture::guests::{count, output, wait};
use crate::fixture::{START, TestHost, name, value};

#[tokio::test]
async fn a_run_of_a_previous_epoch_is_recovered_and_the_old_owner_cannot_commit() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let (held, store) = (Arc::clone(&gate), Arc::clone(&world.store));
    world.guests.act(move |job| {
        let (gate, store) = (Arc::clone(&held), Arc::clone(&store));
        async move {
            let ended = count(&store, &job).await;
            wait(&gate, &job).await.unwrap_or(ended)
        }
    });
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    let dead = world.next_epoch().await;
    world.tick().await;
    world.guests.have_begun(2).await;
    gate.add_permits(2);
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.takeovers), (RunState::Succeeded, 0));
    world.host.idle().await;
    dead.idle().await;
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("1"), "the dead life's commit took hold too");
}

/// Claims a run and lets the host crash `crashes` times while it is active.
async fn claimed_at_crashes(world: &mut TestHost, crashes: u32) -> RunId {
    let run = world.request("a").await;
    world.store.claim(world.host.owner(), &name("a"), 1, START).await.unwrap();
    for crash in 1..=crashes {
        drop(world.next_epoch().await);
        if crash < crashes {
            world.store.take_over(world.host.owner(), RecoveryFilter::All, 10, START).await.unwrap();
        }
    }
    run.id
}

#[tokio::test]
async fn a_suspect_is_parked_after_another_crash() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let convict = claimed_at_crashes(&mut world, 4).await;
    world.tick().await;
    let parked = world.until_settled(convict).await;
    assert_eq!(parked.state.failure().unwrap().code, "host/crash-suspect");
    assert_eq!(world.guests.begun(), 0);
    let kept = world.store.failures(convict).await.unwrap();
    assert_eq!(kept[0].record.failure.code, "host/crash-suspect");
}

#[tokio::test]
async fn suspects_are_retried_one_after_another_alongside_normal_work() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    // Both were active in three crashes; the third run only in the last one.
    let mut suspects = [world.request("a").await.id, world.request("a").await.id];
    suspects.sort_unstable();
    let [first, second] = suspects;
    world.store.claim(world.host.owner(), &name("a"), 2, START).await.unwrap();
    for _ in 0..2 {
        drop(world.next_epoch().await);
        world.store.take_over(world.host.owner(), RecoveryFilter::All, 10, START).await.unwrap();
    }
    let plain = world.request("a").await.id;
    world.store.claim(world.host.owner(), &name("a"), 1, START).await.unwrap();
    drop(world.next_epoch().await);

    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let hold = move |tried: RunId| {
        let held = Arc::clone(&held);
        move |job: tidemill_control::Activation| {
            let gate = Arc::clone(&held);
            async move {
                if job.run.id != tried {
                    return output("1");
                }
                wait(&gate, &job).await.unwrap_or_else(|| output("1"))
            }
        }
    };
    world.guests.act(hold(first));
    assert!(!world.host.ready().ready);
    let host = world.host.clone();
    let turn = tokio::spawn(async move { host.tick_all().await });
    world.guests.have_begun(2).await;
    // The first suspect is active. Only the second one waits for it.
    assert!(world.host.ready().ready, "{:?}", world.host.ready());
    world.until_settled(plain).await;
    let other = world.host.invoke(RunRequest::new(name("a"), "{}"), Duration::from_secs(60)).await.unwrap();
    assert_eq!(other.run.state, RunState::Succeeded);
    assert_eq!((world.run(first).await.takeovers, world.run(second).await.takeovers), (3, 2));

    // The host crashes while the first one is active. That does not count against the second.
    let dead = world.next_epoch().await;
    turn.abort();
    world.guests.act(|_| async { output("2") });
    world.tick().await;
    assert_eq!(world.until_settled(first).await.state.failure().unwrap().code, "host/crash-suspect");
    assert_eq!(world.until_settled(second).await.state, RunState::Succeeded);
    gate.add_permits(1);
    dead.idle().await;
}

#[tokio::test]
async fn shutdown_lets_runs_finish() {
    let mut world = TestHost::running().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = world.guests.gated("1");
    let run = world.request("a").await;
    world.guests.have_begun(1).await;
    let host = world.host.clone();
    let ending = tokio::spawn(async move { host.shutdown(Duration::from_secs(60)).await });
    while world.host.ready().ready {
        tokio::task::yield_now().await;
    }
    let refused = world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ShuttingDown);
    gate.add_permits(1);
    ending.await.unwrap();
    world.open_again().await;
    assert_eq!(world.run(run.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn shutdown_hands_back_unfinished_runs() {
    let mut world = TestHost::running().await;
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        job.cancel.reached(tidemill_engine::Urgency::Now).await;
        output("1")
    });
    let run = world.request("a").await;
    let host = world.host.clone();
    let call =
        tokio::spawn(
            async move { host.invoke(RunRequest::new(name("a"), "[]"), Duration::from_secs(60)).await.unwrap() },
        );
    world.guests.have_begun(2).await;
    world.host.shutdown(Duration::from_millis(1)).await;
    // The waiting caller receives the run's present state and need not wait for the next epoch.
    let invoked = call.await.unwrap();
    assert!(!invoked.run.state.is_settled(), "{invoked:?}");
    world.open_again().await;
    for id in [run.id, invoked.run.id] {
        let handed_back = world.run(id).await;
        assert_eq!((handed_back.state.name(), handed_back.attempt, handed_back.takeovers), ("queued", 1, 0));
    }
    world.guests.act(|_| async { output("2") });
    drop(world.next_epoch().await);
    world.tick().await;
    for id in [run.id, invoked.run.id] {
        assert_eq!(world.until_settled(id).await.state, RunState::Succeeded);
    }
}
