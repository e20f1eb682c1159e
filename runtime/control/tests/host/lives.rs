//! Lives of a node: what a crash leaves is taken up once, what a shutdown leaves goes back into the queue.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::Ask;
use tidemill_core::Code;
use tidemill_core::run::RunState;
use tokio::sync::Semaphore;

use crate::guests::{count, output, wait};
use crate::stretches::value;
use crate::world::{World, name};

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

#[tokio::test]
async fn a_run_that_was_there_at_three_crashes_is_tried_alone_and_parked_at_the_fourth() {
    let mut world = World::still().await;
    world.deploy(json!({ "name": "a" })).await;
    let suspect = world.request("a").await;
    world.store.claim(world.host.owner(), &name("a"), 1, crate::world::START).await.unwrap();
    // Each of these lives died before it got anywhere.
    for crashes in 1..=3 {
        drop(world.next_life().await);
        if crashes < 3 {
            let taken = world.store.take_over(world.host.owner(), 10, crate::world::START).await.unwrap();
            assert_eq!(taken[0].run.takeovers, crashes);
        }
    }
    let other = world.request("a").await;
    world.guests.act(|job| async move { output(&format!("\"{}\"", job.run.id)) });
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    world.guests.act(move |job| {
        seen.lock().unwrap().push(job.run.id);
        async { output("1") }
    });
    world.turn().await;
    assert_eq!(world.until_settled(suspect.id).await.state, RunState::Succeeded);
    world.turn().await;
    assert_eq!(world.until_settled(other.id).await.state, RunState::Succeeded);
    assert_eq!(*order.lock().unwrap(), [suspect.id, other.id]);
    assert_eq!(world.guests.most(), 1);

    let convict = world.request("a").await;
    world.store.claim(world.host.owner(), &name("a"), 1, crate::world::START).await.unwrap();
    for _ in 0..3 {
        drop(world.next_life().await);
        world.store.take_over(world.host.owner(), 10, crate::world::START).await.unwrap();
    }
    drop(world.next_life().await);
    world.turn().await;
    let parked = world.until_settled(convict.id).await;
    assert_eq!(parked.state.failure().unwrap().code, "host/crash-suspect");
    assert_eq!(world.guests.begun(), 2);
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
    let refused = world.host.request(Ask::new(name("a"), "{}")).await.unwrap_err();
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
        tokio::spawn(async move { host.invoke(Ask::new(name("a"), "[]"), Duration::from_secs(60)).await.unwrap() });
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
