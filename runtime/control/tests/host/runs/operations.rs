//! Bulk operations that survive a restart, and what retention deletes.

use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::Code;
use tidemill_core::run::RunState;
use tidemill_engine::Cause;
use tidemill_store::records::{Action, OperationState, RunFilter};

use crate::fixture::guests::{failure, output};
use crate::fixture::{TestHost, name};

async fn parked(world: &TestHost, runs: usize) {
    world.guests.act(|_| async { failure(false, Cause::Guest) });
    for _ in 0..runs {
        world.request("a").await;
    }
    while world.runs(in_state("parked")).await.len() < runs {
        world.tick().await;
        world.host.idle().await;
    }
}

fn in_state(state: &str) -> RunFilter {
    RunFilter { states: vec![state.to_owned()], ..RunFilter::default() }
}

#[tokio::test]
async fn parked_runs_are_retried_in_bulk_over_a_restart() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    parked(&world, 450).await;
    world.guests.act(|_| async { output("1") });
    let filter = RunFilter { deployment: Some(name("a")), ..RunFilter::default() };
    let asked = world.host.act(filter, Action::Retry, None).await.unwrap();
    assert_eq!(asked.state, OperationState::Running);
    // The host crashes before the first page.
    drop(world.next_epoch().await);
    while world.runs(in_state("succeeded")).await.len() < 450 {
        world.tick().await;
        world.host.idle().await;
    }
    let done = world.host.operation(&asked.id).await.unwrap();
    assert_eq!((done.state, done.matched, done.done, done.failed), (OperationState::Done, 450, 450, 0));
    assert!(world.host.operation("op_none").await.is_err());
}

#[tokio::test]
async fn waiting_runs_are_cancelled_in_bulk() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.deploy(json!({ "name": "b" })).await;
    parked(&world, 3).await;
    let other = world.request("b").await;
    let filter = RunFilter { deployment: Some(name("a")), ..RunFilter::default() };
    let asked = world.host.act(filter, Action::Cancel, None).await.unwrap();
    world.tick().await;
    assert_eq!(world.host.operation(&asked.id).await.unwrap().done, 3);
    assert_eq!(world.runs(in_state("cancelled")).await.len(), 3);
    assert_ne!(world.run(other.id).await.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_cancelled_operation_acts_on_nothing_more() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    parked(&world, 3).await;
    let filter = RunFilter { deployment: Some(name("a")), ..RunFilter::default() };
    let asked = world.host.act(filter, Action::Cancel, None).await.unwrap();
    let cancelled = world.host.cancel_operation(&asked.id).await.unwrap();
    assert_eq!(cancelled.state, OperationState::Cancelled);
    world.tick().await;
    assert_eq!(world.host.operation(&asked.id).await.unwrap(), cancelled);
    assert_eq!(world.runs(in_state("parked")).await.len(), 3);
    assert_eq!(world.host.cancel_operation("op_none").await.unwrap_err().code(), Code::PathNotFound);
}

#[tokio::test]
async fn a_key_that_outlives_its_record_creates_no_second_run() {
    let world = TestHost::paused_with(|config| config.retention = Some(Duration::from_secs(3600))).await;
    world.deploy(json!({ "name": "a", "idempotency_ttl": "3h" })).await;
    world.guests.act(|_| async { output("1") });
    let ask = || RunRequest { key: Some("k".to_owned()), ..RunRequest::new(name("a"), "{}") };
    let first = world.host.invoke(ask(), Duration::from_secs(600)).await.unwrap().run;
    world.clock.advance(2 * 3_600_000);
    world.tick().await;
    assert_eq!(world.store.run(first.id).await.unwrap(), None);
    for refused in [
        world.host.request(ask()).await.map(drop).unwrap_err(),
        world.host.invoke(ask(), Duration::from_secs(1)).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::IdempotencyRunRemoved);
        assert!(refused.to_string().contains(&first.id.to_string()), "{refused}");
    }
    assert_eq!(world.guests.begun(), 1);
    world.clock.advance(3_600_000);
    world.tick().await;
    world.host.invoke(ask(), Duration::from_secs(600)).await.unwrap();
    assert_eq!(world.guests.begun(), 2);
}

#[tokio::test]
async fn expired_runs_are_deleted_and_waiting_ones_are_not() {
    let world = TestHost::paused_with(|config| config.retention = Some(Duration::from_secs(3600))).await;
    world.deploy(json!({ "name": "a" })).await;
    parked(&world, 1).await;
    world.guests.act(|_| async { output("1") });
    let old = world.request("a").await;
    world.tick().await;
    world.until_settled(old.id).await;
    world.clock.advance(3_600_000);
    let new = world.request("a").await;
    world.tick().await;
    world.until_settled(new.id).await;
    world.clock.advance(1);
    world.tick().await;
    assert!(world.store.run(old.id).await.unwrap().is_none());
    assert!(world.store.run(new.id).await.unwrap().is_some());
    assert_eq!(world.runs(in_state("parked")).await.len(), 1);
}

#[tokio::test]
async fn metrics_count_parked_and_suspended_runs() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    parked(&world, 1).await;
    let parked = world.runs(in_state("parked")).await.remove(0);
    world.tick().await;
    let figures = world.host.metrics_text().await.unwrap();
    assert!(figures.contains(r#"tidemill_parked{deployment="a"} 1"#), "{figures}");
    let since = format!(
        r#"tidemill_parked_oldest_timestamp_seconds{{deployment="a"}} {}"#,
        crate::fixture::START.as_millis() / 1_000
    );
    assert!(figures.contains(&since), "{figures}");
    assert!(figures.contains("tidemill_suspended 0") && figures.contains("tidemill_orphaned 0"), "{figures}");
    world.host.cancel(parked.id, false).await.unwrap();
    world.tick().await;
    assert!(!world.host.metrics_text().await.unwrap().contains("tidemill_parked{"));
}
