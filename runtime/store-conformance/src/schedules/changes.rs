//! Claims about schedules.

use std::sync::Arc;

use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunState};
use tidemill_core::schedule::Overlap;
use tidemill_core::{Revision, RunId, Timestamp};

use crate::fixture::{NOON, claim_one, deploy_with, done, failure, later, name, owner, schedule, scheduled, success};
use tidemill_store::Store;
use tidemill_store::StoreError;
use tidemill_store::records::{
    DueSchedule, FiringCommit, FiringCommitResult, FiringTimes, NewFiring, NextFiring, PageRequest, Pause, RetryChange,
    RunCommit, Schedule, ScheduleChange, ScheduleReplan, ScheduleResume,
};

/// Returns a nominal time every ten milliseconds.
fn times() -> FiringTimes {
    FiringTimes::new(|after| Some(Timestamp::from_millis((after.as_millis() / 10 + 1) * 10).into()))
}

pub(crate) fn change(spec: u64, next: Timestamp) -> ScheduleChange {
    ScheduleChange {
        name: schedule("often"),
        spec,
        next: Some(next.into()),
        times: times(),
        limit: None,
        pause_after_failures: None,
        missed: None,
    }
}

/// Returns a firing of `a`'s schedule `often`.
pub(crate) fn firing(due: Timestamp, next: Timestamp) -> FiringCommit {
    FiringCommit {
        deployment: name("a"),
        name: schedule("often"),
        revision: Revision::new(1),
        at: due,
        through: due,
        next: Some(next.into()),
        firings: vec![NewFiring { run: scheduled("a", "often", due), late: false }],
        overlap: Overlap::Allow,
        queue: 100,
        missed: None,
    }
}

/// Commits a firing at its nominal time, with the schedule's current revision.
pub(crate) async fn carry_out(store: &Arc<dyn Store>, firing: FiringCommit) -> Option<FiringCommitResult> {
    let stored = store.schedule(&firing.deployment, &firing.name).await.expect("a read");
    let revision = stored.map_or(firing.revision, |stored| stored.revision);
    let now = firing.at;
    store.fire(FiringCommit { revision, ..firing }, now).await.expect("a firing")
}

/// Pauses `a`'s schedule.
pub(crate) async fn pause(store: &Arc<dyn Store>) {
    let pause = Pause { since: NOON, note: "for a test".into() };
    store.pause_schedule(&name("a"), &schedule("often"), pause, NOON).await.expect("a schedule");
}

/// Returns the change that resumes a schedule with `next` as its next time.
pub(crate) fn resume_at(next: Timestamp) -> ScheduleResume {
    ScheduleResume { next: Some(next.into()), times: times(), passed: None }
}

/// Returns the stored schedule.
pub(crate) async fn stored_schedule(store: &Arc<dyn Store>, deployment: &str) -> Schedule {
    store.schedule(&name(deployment), &schedule("often")).await.expect("a read").expect("a schedule")
}

/// Commits a firing and returns whether it succeeded.
async fn fires(store: &Arc<dyn Store>, firing: FiringCommit) -> bool {
    carry_out(store, firing).await.is_some()
}

fn due_at(due: Timestamp) -> DueSchedule {
    DueSchedule { deployment: name("a"), name: schedule("often"), at: due, due }
}

pub(crate) async fn a_firing_happens_once(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert_eq!(store.due_schedules(later(9), 10).await, Ok(vec![]));
    assert_eq!(store.due_schedules(later(10), 10).await, Ok(vec![due_at(later(10))]));
    assert_eq!(store.next_due().await, Ok(Some(later(10))));
    let both = tokio::join!(fires(&store, firing(later(10), later(20))), fires(&store, firing(later(10), later(20))));
    assert!(matches!(both, (true, false) | (false, true)), "{both:?}");
    assert_eq!(store.queued(&name("a"), 10).await, Ok(1));
    assert_eq!(store.next_due().await, Ok(Some(later(20))));
    let stored = stored_schedule(&store, "a").await;
    assert_eq!((stored.fired, stored.last), (1, Some(later(10))));
}

pub(crate) async fn a_paused_schedule_is_not_due(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let resume = async || store.resume_schedule(&name("a"), &schedule("often"), resume_at(later(30)), NOON).await;
    assert!(matches!(resume().await, Err(StoreError::IllegalTransition(_))), "it is not paused");
    pause(&store).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert!(!fires(&store, firing(later(10), later(20))).await);
    resume().await.expect("a schedule");
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
    // The same holds if the deployment is paused, and a new revision in between does not resume it.
    let pause = Some(Pause { since: NOON, note: "for a test".into() });
    store.pause_deployment(&name("a"), pause, None, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(None));
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert!(!fires(&store, firing(later(30), later(40))).await);
    store.pause_deployment(&name("a"), None, None, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
}

pub(crate) async fn a_new_spec_restarts_a_schedule_and_the_same_spec_continues_it(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert!(fires(&store, firing(later(10), later(20))).await);
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(20))), "the same spec continues");
    deploy_with(&store, "a", r#"{"priority":2}"#, vec![change(2, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(99))), "a new spec restarts");
    assert_eq!(stored_schedule(&store, "a").await.fired, 1, "what was counted stays");
    deploy_with(&store, "a", r#"{"priority":3}"#, vec![]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert_eq!(store.schedules(None, PageRequest::first(10)).await.expect("a list").items, []);
}

/// A revision, a resume and a firing are computed before their commits, and the schedule may have
/// fired in between.
pub(crate) async fn no_change_sets_a_time_that_is_already_done(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert!(fires(&store, firing(later(10), later(20))).await);
    // Computed at 5, committed after the firing of 10.
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(2, later(10))]).await;
    assert_eq!(stored_schedule(&store, "a").await.next, Some(later(20)));
    // A skipped time is also done, and so is one that passed during a pause.
    let owner = owner(&store).await;
    let skipped = FiringCommit { overlap: Overlap::Skip, ..firing(later(20), later(30)) };
    assert_eq!(carry_out(&store, skipped).await.expect("it is due").skipped, 1);
    deploy_with(&store, "a", r#"{"priority":2}"#, vec![change(3, later(20))]).await;
    assert_eq!(stored_schedule(&store, "a").await.next, Some(later(30)));
    assert!(fires(&store, firing(later(30), later(40))).await);
    pause(&store).await;
    let resumed = store.resume_schedule(&name("a"), &schedule("often"), resume_at(later(30)), NOON).await;
    assert_eq!(resumed.expect("a schedule").next, Some(later(40)));
    // A disabled schedule keeps it too.
    let disabled = ScheduleChange { next: None, ..change(4, later(0)) };
    deploy_with(&store, "a", r#"{"priority":3}"#, vec![disabled]).await;
    assert_eq!(stored_schedule(&store, "a").await.next, None);
    deploy_with(&store, "a", r#"{"priority":4}"#, vec![change(5, later(10))]).await;
    assert_eq!(stored_schedule(&store, "a").await.next, Some(later(40)));
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.trigger.at, Some(later(10)));
}

pub(crate) async fn a_firing_of_another_revision_does_nothing(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let before = firing(later(10), later(20));
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(10))]).await;
    assert_eq!(store.fire(before.clone(), later(10)).await, Ok(None));
    let now = FiringCommit { revision: Revision::new(2), ..before };
    assert!(store.fire(now, later(10)).await.expect("a firing").is_some());
}

pub(crate) async fn a_firing_is_due_when_its_jitter_is_over(store: Arc<dyn Store>) {
    let jittered = |at: u64, due: u64| Some(NextFiring { at: later(at), due: later(due) });
    deploy_with(&store, "a", "{}", vec![ScheduleChange { next: jittered(10, 17), ..change(1, NOON) }]).await;
    assert_eq!((store.due_schedules(later(16), 9).await, store.next_due().await), (Ok(vec![]), Ok(Some(later(17)))));
    let due = store.due_schedules(later(17), 9).await.expect("a list");
    assert_eq!((due.len(), due[0].at, due[0].due), (1, later(10), later(17)));
    // A firing that an older release placed at its nominal time is placed again, and does not fire
    // early.
    let early =
        FiringCommit { firings: vec![], through: later(9), next: jittered(10, 18), ..firing(later(10), later(10)) };
    assert_eq!(carry_out(&store, early).await, Some(FiringCommitResult::default()));
    assert_eq!(
        (store.next_due().await, stored_schedule(&store, "a").await.next),
        (Ok(Some(later(18))), Some(later(10)))
    );
    let next = FiringCommit { next: jittered(20, 26), ..firing(later(10), later(20)) };
    assert_eq!(carry_out(&store, next).await.expect("it is due").fired, [later(10)]);
    assert_eq!(
        (store.next_due().await, stored_schedule(&store, "a").await.next),
        (Ok(Some(later(26))), Some(later(20)))
    );
    // A pause and the end of its deployment also apply during the jitter.
    pause(&store).await;
    assert_eq!(store.next_due().await, Ok(None));
    store.resume_schedule(&name("a"), &schedule("often"), resume_at(later(30)), NOON).await.expect("a schedule");
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![]).await;
    assert_eq!(store.next_due().await, Ok(None));
}

pub(crate) async fn a_next_time_is_replanned_unless_it_has_changed(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert!(fires(&store, firing(later(10), later(20))).await);
    let replan = |seen: u64, next: u64, through: Option<Timestamp>| ScheduleReplan {
        deployment: name("a"),
        name: schedule("often"),
        revision: Revision::new(1),
        seen: Some(later(seen)),
        next: Some(later(next).into()),
        through,
        change: "rescheduled",
        note: "for a test".into(),
    };
    assert_eq!(store.replan_schedule(replan(10, 15, None), NOON).await, Ok(None));
    let moved = store.replan_schedule(replan(20, 15, None), NOON).await.expect("a commit").expect("it is there");
    assert_eq!((moved.next, moved.last_processed()), (Some(later(15)), Some(later(10))));
    assert_eq!((moved.silent_until(later(9)), moved.silent_until(later(10))), (Some(later(10)), None));
    assert_eq!(store.next_due().await, Ok(Some(later(15))));
    let back = store.replan_schedule(replan(15, 5, Some(NOON)), NOON).await.expect("a commit").expect("it is there");
    assert_eq!((back.next, back.last_processed(), back.silent_until(NOON)), (Some(later(5)), Some(NOON), None));
}

pub(crate) async fn unended_firings_are_known(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let owner = owner(&store).await;
    let unended = || async { started(&store).await.len() };
    assert!(fires(&store, firing(later(10), later(20))).await);
    assert!(fires(&store, firing(later(20), later(30))).await);
    assert_eq!(unended().await, 2);
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(unended().await, 2, "a running one has not ended");
    done(&store, success(&owner, &run)).await;
    assert_eq!(unended().await, 1);
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &run)).await;
    assert_eq!(unended().await, 0, "a parked one does not count");
    store.retry_run(run.id, RetryChange { component: None, from_start: false, now: NOON }).await.expect("a retry");
    assert_eq!(started(&store).await, [run.id], "one that is tried again does");
}

/// Returns the started and unended runs of `a`'s schedule.
pub(crate) async fn started(store: &Arc<dyn Store>) -> Vec<RunId> {
    store.unended_firings(&name("a"), &schedule("often"), 100).await.expect("a look").started
}

/// Returns the commit that parks a running run.
pub(crate) fn parked(owner: &Owner, run: &Run) -> RunCommit {
    let mut parked = success(owner, run);
    parked.run.state = RunState::Parked(failure());
    parked.run.ended_at = None;
    parked.output = None;
    parked
}
