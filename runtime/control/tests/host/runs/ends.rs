//! Every end of a run, with repeated conflicts of its last commit and with a crash before it: its
//! effects are committed exactly once or not at all, and every failure is recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, Failure, RunId};
use tidemill_engine::{Cause, Outcome, Urgency};
use tidemill_store::records::{FailedPart, PageRequest, ParkedFilter};
use tokio::sync::Semaphore;

use crate::fixture::durable::{Durable, Flow};
use crate::fixture::{TestHost, name, value};

/// How a guest ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeds,
    FailsForGood,
    FailsOnceAndSucceeds,
    ContinuesAsNew,
    /// It is cancelled while it runs, compensates, and returns.
    Compensates,
    /// It compensates and returns the cancellation itself.
    ReturnsTheCancellation,
    /// It compensates and returns that something was left.
    CompensatesInPart,
    /// It is cancelled and traps while it compensates.
    TrapsInCompensation,
    /// It is cancelled, and the host fails once while it compensates.
    HostFailsInCompensation,
    Terminated,
}

impl End {
    const ALL: [Self; 10] = [
        Self::Succeeds,
        Self::FailsForGood,
        Self::FailsOnceAndSucceeds,
        Self::ContinuesAsNew,
        Self::Compensates,
        Self::ReturnsTheCancellation,
        Self::CompensatesInPart,
        Self::TrapsInCompensation,
        Self::HostFailsInCompensation,
        Self::Terminated,
    ];

    const fn is_cancelled(self) -> bool {
        !matches!(self, Self::Succeeds | Self::FailsForGood | Self::FailsOnceAndSucceeds | Self::ContinuesAsNew)
    }

    const fn state(self) -> &'static str {
        match self {
            Self::FailsForGood => "parked",
            _ if self.is_cancelled() => "cancelled",
            _ => "succeeded",
        }
    }

    /// Returns what the run adds to the counter: one for each committed count.
    const fn counts(self) -> u64 {
        match self {
            // One before it continues as new, and one after.
            Self::ContinuesAsNew => 2,
            Self::FailsForGood | Self::TrapsInCompensation | Self::Terminated => 0,
            _ => 1,
        }
    }

    /// Returns the code of the failure recorded for a cancelled run.
    const fn failure(self) -> Option<&'static str> {
        match self {
            Self::CompensatesInPart => Some("saga-incomplete"),
            Self::TrapsInCompensation => Some("host/trap"),
            _ => None,
        }
    }
}

fn failed(code: &str, retryable: bool, cause: Cause) -> Outcome {
    Outcome::Failed { failure: Failure { retryable, ..Failure::new(code, "it did not work") }, cause }
}

/// The state that the runs of a case share.
#[derive(Clone)]
struct Case {
    end: End,
    /// How often another run conflicts with the last transaction.
    conflicts: usize,
    overtaken: Arc<AtomicUsize>,
    /// How often the host has failed the run.
    host_failures: Arc<AtomicUsize>,
    /// Signals that the guest is about to end, once it may be killed there.
    at_end: Arc<Semaphore>,
    /// Lets the guest end.
    goes: Arc<Semaphore>,
    waits_at_end: bool,
}

impl Case {
    async fn guest(
        self,
        mut guest: Durable,
        host: tidemill_control::ControlPlane,
    ) -> Flow<tidemill_engine::ActivationResult> {
        if guest.job.input.as_ref() == b"[]" {
            guest.count("n").await;
            return Ok(guest.succeed("0"));
        }
        if self.end.is_cancelled() {
            guest.job.cancel.reached(Urgency::Requested).await;
        }
        if self.end == End::Terminated {
            guest.count("n").await;
            guest.job.cancel.reached(Urgency::Now).await;
            return Ok(guest.stop(failed("host/cancelled", false, Cause::Cancelled)));
        }
        if self.end.is_cancelled() {
            guest.notify();
        }
        if guest.is_live() {
            guest.count("n").await;
        } else {
            guest.call("recorded");
        }
        if self.overtaken.fetch_add(1, Ordering::SeqCst) < self.conflicts {
            host.invoke(RunRequest::new(name("a"), "[]"), Duration::from_secs(60)).await.unwrap();
        }
        if self.waits_at_end {
            self.at_end.add_permits(1);
            self.goes.acquire().await.unwrap().forget();
        }
        Ok(match self.end {
            End::Succeeds | End::Compensates => guest.succeed("1"),
            End::FailsForGood => guest.fail(false),
            End::FailsOnceAndSucceeds if guest.job.run.attempt == 1 => guest.fail(true),
            End::FailsOnceAndSucceeds => guest.succeed("1"),
            End::ContinuesAsNew if guest.job.run.generation == 1 => guest.as_new("{}"),
            End::ContinuesAsNew => guest.succeed("1"),
            End::ReturnsTheCancellation => guest.stop(failed(Code::Cancelled.as_str(), false, Cause::Guest)),
            End::CompensatesInPart => guest.stop(failed("saga-incomplete", false, Cause::Guest)),
            End::TrapsInCompensation => guest.stop(failed("host/trap", false, Cause::Trap)),
            End::HostFailsInCompensation if self.host_failures.fetch_add(1, Ordering::SeqCst) == 0 => {
                guest.stop(failed("host/store-unavailable", true, Cause::Host))
            }
            End::HostFailsInCompensation => guest.succeed("1"),
            End::Terminated => guest.succeed("never"),
        })
    }
}

/// Ticks the host until the run is settled, and moves the clock past a retry's back-off.
async fn until_settled(world: &TestHost, id: RunId) -> Run {
    for _ in 0..20 {
        world.tick().await;
        world.host.idle().await;
        if world.run(id).await.state.is_settled() {
            break;
        }
        world.clock.advance(60_000);
    }
    world.run(id).await
}

async fn check_end(end: End, conflicts: usize, dies: bool) {
    let shown = format!("{end:?}, {conflicts} conflicts, dies: {dies}");
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "retry": { "initial": "1s", "jitter": 0.0 } })).await;
    let case = Case {
        end,
        conflicts,
        overtaken: Arc::default(),
        host_failures: Arc::default(),
        at_end: Arc::new(Semaphore::new(0)),
        goes: Arc::new(Semaphore::new(0)),
        waits_at_end: dies && end != End::Terminated,
    };
    let (host, acts) = (world.host.clone(), case.clone());
    world.act(move |guest| acts.clone().guest(guest, host.clone()));
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    if end.is_cancelled() {
        world.host.cancel(run.id, false).await.unwrap();
        if end == End::Terminated {
            world.host.cancel(run.id, true).await.unwrap();
        }
    }
    if case.waits_at_end {
        // It has done all its work, and the host crashes before the commit.
        case.at_end.acquire().await.unwrap().forget();
        let dead = world.next_epoch().await;
        let (host, acts) = (world.host.clone(), Case { waits_at_end: false, ..case.clone() });
        world.act(move |guest| acts.clone().guest(guest, host.clone()));
        let ended = until_settled(&world, run.id).await;
        assert!(ended.state.is_settled(), "{shown}: {ended:?}");
        // The old epoch is too late, whatever it does.
        case.goes.add_permits(100);
        dead.idle().await;
    }
    let ended = until_settled(&world, run.id).await;
    assert_eq!(ended.state.name(), end.state(), "{shown}: {ended:?}");
    let others = case.overtaken.load(Ordering::SeqCst).min(conflicts) as u64;
    let counted: u64 = value(&world.store, "n").await.map_or(0, |n| n.parse().unwrap());
    assert_eq!(counted, end.counts() + others, "{shown}");

    let failure = world.store.failure_of(&ended).await.unwrap();
    let inbox = world.store.parked(ParkedFilter::default(), PageRequest::first(9)).await.unwrap().items;
    if ended.state == RunState::Cancelled {
        assert_eq!(failure.map(|failure| failure.code).as_deref(), end.failure(), "{shown}");
        assert_eq!(inbox.iter().any(|parked| parked.run == run.id), end.failure().is_some(), "{shown}");
        let summary = world.host.explain(run.id).await.unwrap().summary;
        assert!(end.failure().is_none_or(|code| summary.contains(code)), "{shown}: {summary}");
    }
    let kept = world.store.failures(run.id).await.unwrap();
    let parts = kept.iter().map(|kept| &kept.record.part);
    let cancellations = parts.filter(|part| **part == FailedPart::Cancellation).count();
    assert_eq!(cancellations, usize::from(end.failure().is_some()), "{shown}: {kept:?}");
    // A failure whose commit was refused did not happen. The result of the next attempt is
    // recorded.
    let host_fails = end == End::HostFailsInCompensation && conflicts == 0;
    let fails = host_fails || matches!(end, End::FailsForGood | End::FailsOnceAndSucceeds);
    let host_may = end == End::HostFailsInCompensation && conflicts > 0;
    let expected = fails || end.failure().is_some();
    assert!(host_may || kept.is_empty() != expected, "{shown}: {kept:?}");
}

#[tokio::test]
async fn effects_are_committed_once_despite_conflicts_at_the_end() {
    for end in End::ALL {
        for conflicts in [0, 1, 3] {
            check_end(end, conflicts, false).await;
        }
    }
}

#[tokio::test]
async fn effects_are_committed_once_if_the_host_crashes_before_the_end() {
    for end in End::ALL {
        for conflicts in [0, 1] {
            check_end(end, conflicts, true).await;
        }
    }
}

#[tokio::test]
async fn many_cancelled_runs_all_compensate() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency": 100 })).await;
    world.act(|mut guest| async move {
        guest.sleep_until(guest.job.run.created_at.plus_millis(3_600_000)).await?;
        guest.count("n").await;
        Ok(guest.succeed("1"))
    });
    let mut runs = Vec::new();
    for _ in 0..50 {
        runs.push(world.request("a").await.id);
    }
    world.tick().await;
    for id in &runs {
        world.until(*id, |run| run.state == RunState::Suspended).await;
    }
    for id in &runs {
        world.host.cancel(*id, false).await.unwrap();
    }
    world.tick().await;
    for id in &runs {
        assert_eq!(world.until_settled(*id).await.state, RunState::Cancelled);
    }
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("50"));
}

#[tokio::test]
async fn an_uncommittable_end_becomes_the_runs_failure() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.deploy(json!({ "name": "b", "retry": { "then": "fail" } })).await;
    // Each value is short, so that all of them are part of the commit itself.
    world.act(|mut guest| async move {
        for nth in 0..9_000 {
            guest.write(&format!("key-{nth}"), &"x".repeat(4_000));
        }
        Ok(guest.succeed("1"))
    });
    let run = world.request("a").await;
    world.tick().await;
    let parked = world.until_settled(run.id).await;
    assert_eq!((parked.state.name(), parked.state.failure().unwrap().code.as_str()), ("parked", "host/limit-commit"));
    assert_eq!(parked.journal_entries, 0, "what was not committed is not there to be read");
    assert!(value(&world.store, "key-0").await.is_none());
    // A waiting caller receives its run with the failure.
    for (deployment, state) in [("a", "parked"), ("b", "failed")] {
        let invoked =
            world.host.invoke(RunRequest::new(name(deployment), "{}"), Duration::from_secs(60)).await.unwrap();
        assert_eq!(invoked.run.state.name(), state, "{invoked:?}");
        assert_eq!(invoked.run.state.failure().unwrap().code, "host/limit-commit");
        assert!(invoked.output.is_none() && invoked.run.state.is_settled());
        assert_eq!(world.run(invoked.run.id).await.state, invoked.run.state);
    }
}

#[tokio::test]
async fn an_uncommittable_compensation_records_its_failure_on_the_cancelled_run() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.act(|mut guest| async move {
        guest.job.cancel.reached(Urgency::Requested).await;
        guest.notify();
        for nth in 0..9_000 {
            guest.write(&format!("key-{nth}"), &"x".repeat(4_000));
        }
        Ok(guest.succeed("1"))
    });
    let run = world.request("a").await;
    world.tick().await;
    world.host.cancel(run.id, false).await.unwrap();
    let cancelled = world.until_settled(run.id).await;
    assert_eq!(cancelled.state, RunState::Cancelled);
    let failure = world.store.failure_of(&cancelled).await.unwrap().unwrap();
    assert_eq!(failure.code, "host/limit-commit");
    // After another cancel request it no longer waits for a person.
    assert_eq!(world.host.cancel(run.id, false).await.unwrap().state, RunState::Cancelled);
    assert!(world.store.parked(ParkedFilter::default(), PageRequest::first(9)).await.unwrap().items.is_empty());
}
