//! A disk that is full or fails to sync: new work is refused, runs in progress keep their state,
//! and everything continues once there is room, or in the next epoch.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::Code;
use tidemill_core::run::RunState;
use tidemill_store::records::RunFilter;
use tidemill_store::traits::StoreHealth;
use tokio::sync::Semaphore;

use crate::fixture::guests::{count, wait};
use crate::fixture::{TestHost, name, value};

const LONG: Duration = Duration::from_secs(60);

/// Waits until the store refuses to write.
async fn until_full(world: &TestHost) {
    while world.store.trim(1_000, crate::fixture::START).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn calls_on_a_full_disk_are_refused_and_leave_nothing() {
    let world = counting().await;
    world.disk.set_full(true);
    until_full(&world).await;
    let refused = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap_err();
    assert_eq!((refused.code(), refused.code().status()), (Code::DiskFull, 507));
    let refused = world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap_err();
    assert_eq!(refused.code(), Code::DiskFull);
    assert!(!world.host.ready().ready);
    assert!(world.runs(RunFilter::default()).await.is_empty());
    assert_eq!(world.host.running(), 0);

    world.disk.set_full(false);
    let mut invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await;
    while invoked.as_ref().is_err_and(|error| error.code() == Code::DiskFull) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await;
    }
    assert_eq!(invoked.unwrap().run.state, RunState::Succeeded);
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("1"), "what was refused has not happened");
}

#[tokio::test]
async fn a_host_that_starts_on_a_full_disk_answers_and_recovers_once_there_is_room() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let run = world.request("a").await;
    let old = world.host.owner().epoch;
    world.host.shutdown(Duration::from_secs(5)).await;
    world.disk.set_full(true);
    world.open_again().await;
    world.next_epoch().await;
    let new = world.host.owner().epoch;
    assert!(new > old);
    assert_eq!(world.store.health(), StoreHealth::DiskFull);
    assert!(!world.host.ready().ready);
    assert_eq!(world.run(run.id).await.state.name(), "queued");
    let refused = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap_err();
    assert_eq!(refused.code(), Code::DiskFull);
    assert!(world.host.tick_all().await.is_err());

    world.disk.set_full(false);
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert!(world.host.ready().ready);
    world.next_epoch().await;
    assert!(world.host.owner().epoch > new, "the life that began without room is known");
}

#[tokio::test]
async fn a_queued_run_commits_its_result_once_there_is_room() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let (held, store) = (Arc::clone(&gate), Arc::clone(&world.store));
    world.guests.act(move |job| {
        let (gate, store) = (Arc::clone(&held), Arc::clone(&store));
        async move { wait(&gate, &job).await.unwrap_or(count(&store, &job).await) }
    });
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    world.disk.set_full(true);
    until_full(&world).await;
    gate.add_permits(1);
    // Its completion is refused at least once before there is room again.
    let refused = "tidemill_store_errors_total 0";
    while world.host.metrics_text().await.unwrap().contains(refused) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.run(run.id).await.state.name(), "running");
    world.disk.set_full(false);
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert_eq!(world.guests.begun(), 1);
}

/// Creates a host whose runs count.
async fn counting() -> TestHost {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    count_in(&world);
    world
}

fn count_in(world: &TestHost) {
    let store = Arc::clone(&world.store);
    world.guests.act(move |job| {
        let store = Arc::clone(&store);
        async move { count(&store, &job).await }
    });
}

/// Restarts the host on the same folder.
async fn restart(world: &mut TestHost) {
    world.host.shutdown(Duration::from_secs(5)).await;
    world.open_again().await;
    count_in(world);
    world.next_epoch().await;
    world.tick().await;
}

async fn counted(world: &TestHost) -> usize {
    value(&world.store, "n").await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_failed_sync_is_repeated_in_a_new_segment() {
    let mut world = counting().await;
    for _ in 0..5 {
        world.disk.fail_syncs(1);
        let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
        assert_eq!(invoked.run.state, RunState::Succeeded);
    }
    assert!(world.host.ready().ready);
    restart(&mut world).await;
    assert_eq!(counted(&world).await, 5);
}

#[tokio::test]
async fn only_synced_commits_are_acknowledged_and_the_next_epoch_continues() {
    let mut world = counting().await;
    world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    world.deploy(json!({ "name": "b" })).await;
    let queued = world.request("b").await;
    world.disk.fail_syncs(u64::MAX);
    for _ in 0..5 {
        let error = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap_err();
        assert!(error.code().status() >= 500, "{error}");
    }
    assert!(!world.host.ready().ready, "{:?}", world.store.health());
    // It still shows the stored state.
    assert_eq!(world.run(queued.id).await.state.name(), "queued");

    world.disk.fail_syncs(0);
    restart(&mut world).await;
    assert_eq!(world.until_settled(queued.id).await.state, RunState::Succeeded);
    world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    restart(&mut world).await;
    let counted = counted(&world).await;
    let runs = world.runs(RunFilter { deployment: Some(name("a")), ..RunFilter::default() }).await;
    assert!(runs.iter().all(|run| run.state == RunState::Succeeded), "{runs:?}");
    assert_eq!(counted, runs.len(), "each run that is there has counted once");
    assert!(counted >= 2, "{counted}");
}
