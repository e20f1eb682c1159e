//! Exhausted quotas: whatever they refuse, a run that has begun ends and records why.

use std::time::Duration;

use serde_json::json;
use tidemill_core::Code;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::{Run, RunState};
use tidemill_engine::Urgency;

use crate::fixture::durable::{Durable, Flow};
use crate::fixture::{START, TestHost, name};
use crate::runs::tree::start;

const NONE: Quotas = Quotas { runs: 0, state_bytes: 0, payload_bytes: 0, log_bytes: 0, events: 0, topics: 0 };

/// Returns a run that began before its deployment exhausted all its quotas.
async fn exhausted() -> (TestHost, Run) {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "retry": { "attempts": 1 } })).await;
    world.deploy(json!({ "name": "child" })).await;
    let run = world.request("a").await;
    world.host.shutdown(Duration::from_secs(5)).await;
    world.open_with(NONE);
    drop(world.next_epoch().await);
    (world, run)
}

async fn ends_with<F>(script: impl Fn(Durable) -> F + Send + Sync + 'static, code: Code)
where
    F: Future<Output = Flow<tidemill_engine::ActivationResult>> + Send + 'static,
{
    let (world, run) = exhausted().await;
    world.act(script);
    world.tick().await;
    let ended = world.until_settled(run.id).await;
    let RunState::Parked(failure) = &ended.state else { panic!("{ended:?}") };
    assert_eq!(failure.code, code.as_str(), "{failure:?}");
    world.host.idle().await;
    assert_eq!(world.host.running(), 0);
}

#[tokio::test]
async fn a_last_commit_that_a_quota_refuses_ends_the_run() {
    ends_with(
        |mut guest| async move {
            guest.count("n").await;
            Ok(guest.succeed("1"))
        },
        Code::QuotaState,
    )
    .await;
    ends_with(
        |mut guest| async move {
            let child = start(&guest.job, false).await;
            guest.start(child);
            Ok(guest.succeed("1"))
        },
        Code::QuotaRuns,
    )
    .await;
}

#[tokio::test]
async fn a_commit_in_the_middle_that_a_quota_refuses_ends_the_run() {
    ends_with(
        |mut guest| async move {
            guest.count("n").await;
            guest.sleep_until(START.plus_millis(60_000)).await?;
            Ok(guest.succeed("1"))
        },
        Code::QuotaState,
    )
    .await;
    ends_with(
        |mut guest| async move {
            let child = start(&guest.job, false).await;
            let child = guest.start(child);
            guest.child(child).await?;
            Ok(guest.succeed("1"))
        },
        Code::QuotaRuns,
    )
    .await;
}

#[tokio::test]
async fn a_compensation_that_a_quota_refuses_ends_cancelled_and_leaves_a_trace() {
    let (world, run) = exhausted().await;
    world.act(|mut guest| async move {
        guest.job.cancel.reached(Urgency::Requested).await;
        guest.notify();
        guest.count("n").await;
        Ok(guest.succeed("1"))
    });
    world.tick().await;
    world.guests.have_begun(1).await;
    world.host.cancel(run.id, false).await.unwrap();
    let ended = world.until_settled(run.id).await;
    assert_eq!(ended.state, RunState::Cancelled);
    let failure = world.store.failure_of(&ended).await.unwrap().unwrap();
    assert_eq!(failure.code, Code::QuotaState.as_str());
    assert_eq!(world.run(run.id).await.deployment, name("a"));
}
