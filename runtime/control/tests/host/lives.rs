//! Lives of a node: what a crash leaves is taken up once, what a shutdown leaves goes back into the queue.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::RunState;
use tidemill_core::{Code, RunId};
use tidemill_store::records::RecoveryFilter;
use tokio::sync::Semaphore;

use crate::guests::{count, output, wait};
use crate::stretches::value;
use crate::world::{START, World, name};

#[tokio::test]
async fn a_run_of_a_dead_life_is_taken_up_and_the_dead_cannot_commit_it() {
    let mut world = World::still().await;
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
    world.turn().await;
    world.guests.have_begun(1).await;
    let dead = world.next_life().await;
    world.turn().await;
    world.guests.have_begun(2).await;
    gate.add_permits(2);
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.takeovers), (RunState::Succeeded, 0));
    world.host.idle().await;
    dead.idle().await;
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("1"), "the dead life's commit took hold too");
}

/// Claims a run, and lets the host die so often with it in hand.
async fn claimed_at_crashes(world: &mut World, crashes: u32) -> RunId {
    let run = world.request("a").await;
    world.store.claim(world.host.owner(), &name("a"), 1, START).await.unwrap();
    for crash in 1..=crashes {
        drop(world.next_life().await);
        if crash < crashes {
            world.store.take_over(world.host.owner(), RecoveryFilter::All, 10, START).await.unwrap();
        }
    }
    run.id
}

#[tokio::test]
async fn a_suspect_is_parked_when_the_host_dies_with_it_again() {
    let mut world = World::still().await;
    world.deploy(json!({ "name": "a" })).await;
    let convict = claimed_at_crashes(&mut world, 4).await;
    world.turn().await;
    let parked = world.until_settled(convict).await;
    assert_eq!(parked.state.failure().unwrap().code, "host/crash-suspect");
    assert_eq!(world.guests.begun(), 0);
    let kept = world.store.failures(convict).await.unwrap();
    assert_eq!(kept[0].record.failure.code, "host/crash-suspect");
}

#[tokio::test]
async fn suspects_are_tried_one_after_another_beside_normal_work() {
    let mut world = World::still().await;
    world.deploy(json!({ "name": "a" })).await;
    // Both were there at three crashes; the third run at the last one alone.
    let mut suspects = [world.request("a").await.id, world.request("a").await.id];
    suspects.sort_unstable();
    let [first, second] = suspects;
    world.store.claim(world.host.owner(), &name("a"), 2, START).await.unwrap();
    for _ in 0..2 {
        drop(world.next_life().await);
        world.store.take_over(world.host.owner(), RecoveryFilter::All, 10, START).await.unwrap();
    }
    let plain = world.request("a").await.id;
    world.store.claim(world.host.owner(), &name("a"), 1, START).await.unwrap();
    drop(world.next_life().await);

    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let hold = move |tried: RunId| {
        let held = Arc::clone(&held);
        move |job: tidemill_control::GuestJob| {
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
    // The first suspect is in hand, and nothing else waits for it but the second one.
    assert!(world.host.ready().ready, "{:?}", world.host.ready());
    world.until_settled(plain).await;
    let other = world.host.invoke(RunRequest::new(name("a"), "{}"), Duration::from_secs(60)).await.unwrap();
    assert_eq!(other.run.state, RunState::Succeeded);
    assert_eq!((world.run(first).await.takeovers, world.run(second).await.takeovers), (3, 2));

    // The host dies with the first one in hand: that is not held against the second.
    let dead = world.next_life().await;
    turn.abort();
    world.guests.act(|_| async { output("2") });
    world.turn().await;
    assert_eq!(world.until_settled(first).await.state.failure().unwrap().code, "host/crash-suspect");
    assert_eq!(world.until_settled(second).await.state, RunState::Succeeded);
    gate.add_permits(1);
    dead.idle().await;
}

#[tokio::test]
async fn shutdown_lets_runs_finish() {
    let mut world = World::running().await;
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
async fn shutdown_hands_back_what_does_not_finish() {
    let mut world = World::running().await;
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
    // Who waited hears how the run stood, and need not wait for the next life.
    let invoked = call.await.unwrap();
    assert!(!invoked.settled, "{invoked:?}");
    world.open_again().await;
    for id in [run.id, invoked.run.id] {
        let handed_back = world.run(id).await;
        assert_eq!((handed_back.state.name(), handed_back.attempt, handed_back.takeovers), ("queued", 1, 0));
    }
    world.guests.act(|_| async { output("2") });
    drop(world.next_life().await);
    world.turn().await;
    for id in [run.id, invoked.run.id] {
        assert_eq!(world.until_settled(id).await.state, RunState::Succeeded);
    }
}
