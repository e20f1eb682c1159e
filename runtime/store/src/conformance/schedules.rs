//! Claims about schedules.

use std::sync::Arc;

use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunState};
use tidemill_core::schedule::Overlap;
use tidemill_core::{RunId, Timestamp};

use super::world::{NOON, claim_one, deploy_with, done, failure, later, name, owner, schedule, scheduled, success};
use crate::Store;
use crate::records::{
    DueSchedule, Firing, NewFiring, PageRequest, Pause, Retry, Schedule, ScheduleChange, StretchCommit,
};

pub(super) fn change(spec: u64, next: Timestamp) -> ScheduleChange {
    ScheduleChange {
        name: schedule("often"),
        spec,
        next: Some(next),
        limit: None,
        pause_after_failures: None,
        missed: None,
    }
}

/// One firing of `a`'s schedule `often`.
pub(super) fn firing(due: Timestamp, next: Timestamp) -> Firing {
    Firing {
        deployment: name("a"),
        name: schedule("often"),
        due,
        next: Some(next),
        firings: vec![NewFiring { run: scheduled("a", "often", due), late: false }],
        overlap: Overlap::Allow,
        queue: 100,
        missed: None,
    }
}

/// The schedule as it stands.
pub(super) async fn stands(store: &Arc<dyn Store>, deployment: &str) -> Schedule {
    store.schedule(&name(deployment), &schedule("often")).await.expect("a read").expect("a schedule")
}

/// Whether it took hold.
async fn fires(store: &Arc<dyn Store>, firing: Firing) -> bool {
    let now = firing.due;
    store.fire(firing, now).await.expect("a firing").is_some()
}

fn due_at(due: Timestamp) -> DueSchedule {
    DueSchedule { deployment: name("a"), name: schedule("often"), due }
}

pub(super) async fn a_firing_happens_once(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert_eq!(store.due_schedules(later(9), 10).await, Ok(vec![]));
    assert_eq!(store.due_schedules(later(10), 10).await, Ok(vec![due_at(later(10))]));
    assert_eq!(store.next_due().await, Ok(Some(later(10))));
    let both = tokio::join!(fires(&store, firing(later(10), later(20))), fires(&store, firing(later(10), later(20))));
    assert!(matches!(both, (true, false) | (false, true)), "{both:?}");
    assert_eq!(store.queued(&name("a"), 10).await, Ok(1));
    assert_eq!(store.next_due().await, Ok(Some(later(20))));
    let stands = stands(&store, "a").await;
    assert_eq!((stands.fired, stands.last), (1, Some(later(10))));
}

pub(super) async fn a_paused_one_is_not_due(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let pause = Some(Pause { since: NOON, note: "for a test".into() });
    let set = |pause, next| {
        let store = store.clone();
        async move {
            store.pause_schedule(&name("a"), &schedule("often"), pause, next, None, NOON).await.expect("a schedule")
        }
    };
    set(pause.clone(), None).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert!(!fires(&store, firing(later(10), later(20))).await);
    set(None, Some(later(30))).await;
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
    // The same by its deployment, and a new revision meanwhile does not wake it.
    store.pause_deployment(&name("a"), pause, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(None));
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert!(!fires(&store, firing(later(30), later(40))).await);
    store.pause_deployment(&name("a"), None, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
}

pub(super) async fn a_new_spec_begins_anew_and_the_same_goes_on(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert!(fires(&store, firing(later(10), later(20))).await);
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(20))), "the same spec goes on");
    deploy_with(&store, "a", r#"{"priority":2}"#, vec![change(2, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(99))), "a new one begins anew");
    assert_eq!(stands(&store, "a").await.fired, 1, "what was counted stays");
    deploy_with(&store, "a", r#"{"priority":3}"#, vec![]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert_eq!(store.schedules(None, PageRequest::first(10)).await.expect("a list").items, []);
}

pub(super) async fn unended_firings_are_known(store: Arc<dyn Store>) {
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
    store.retry_run(run.id, Retry { component: None, from_start: false, now: NOON }).await.expect("a retry");
    assert_eq!(started(&store).await, [run.id], "one that is tried again does");
}

/// The runs of `a`'s schedule that were started and have not ended.
pub(super) async fn started(store: &Arc<dyn Store>) -> Vec<RunId> {
    store.unended_firings(&name("a"), &schedule("often"), 100).await.expect("a look").started
}

/// The commit that sets a running run aside.
pub(super) fn parked(owner: &Owner, run: &Run) -> StretchCommit {
    let mut parked = success(owner, run);
    parked.run.state = RunState::Parked(failure());
    parked.run.ended_at = None;
    parked.output = None;
    parked
}
