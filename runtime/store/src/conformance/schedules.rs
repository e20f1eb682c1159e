//! Claims about schedules.

use std::sync::Arc;

use tidemill_core::Timestamp;

use super::world::{NOON, claim_one, deploy_with, done, later, name, owner, schedule, scheduled, success};
use crate::Store;
use crate::records::{DueSchedule, Firing, PageRequest, Pause, ScheduleChange};

fn change(spec: u64, next: Timestamp) -> ScheduleChange {
    ScheduleChange { name: schedule("often"), spec, next: Some(next) }
}

fn firing(due: Timestamp, next: Timestamp) -> Firing {
    Firing {
        deployment: name("a"),
        name: schedule("often"),
        due,
        next: Some(next),
        runs: vec![scheduled("a", "often", due)],
        skipped: 0,
        missed: 0,
    }
}

fn due_at(due: Timestamp) -> DueSchedule {
    DueSchedule { deployment: name("a"), name: schedule("often"), due }
}

pub(super) async fn a_firing_happens_once(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert_eq!(store.due_schedules(later(9), 10).await, Ok(vec![]));
    assert_eq!(store.due_schedules(later(10), 10).await, Ok(vec![due_at(later(10))]));
    assert_eq!(store.next_due().await, Ok(Some(later(10))));
    let both = tokio::join!(
        store.fire(firing(later(10), later(20)), later(10)),
        store.fire(firing(later(10), later(20)), later(10)),
    );
    assert!(matches!(both, (Ok(true), Ok(false)) | (Ok(false), Ok(true))), "{both:?}");
    assert_eq!(store.queued(&name("a"), 10).await, Ok(1));
    assert_eq!(store.next_due().await, Ok(Some(later(20))));
    let stands = store.schedule(&name("a"), &schedule("often")).await.expect("a read").expect("a schedule");
    assert_eq!((stands.fired, stands.last), (1, Some(later(10))));
}

pub(super) async fn a_paused_one_is_not_due(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let pause = Some(Pause { since: NOON, note: "for a test".into() });
    let set = |pause, next| {
        let store = store.clone();
        async move { store.pause_schedule(&name("a"), &schedule("often"), pause, next, NOON).await.expect("a schedule") }
    };
    set(pause.clone(), None).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert_eq!(store.fire(firing(later(10), later(20)), later(10)).await, Ok(false));
    set(None, Some(later(30))).await;
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
    // The same by its deployment, and a new revision meanwhile does not wake it.
    store.pause_deployment(&name("a"), pause, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(None));
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert_eq!(store.fire(firing(later(30), later(40)), later(30)).await, Ok(false));
    store.pause_deployment(&name("a"), None, NOON).await.expect("a deployment");
    assert_eq!(store.next_due().await, Ok(Some(later(30))));
}

pub(super) async fn a_new_spec_begins_anew_and_the_same_goes_on(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert_eq!(store.fire(firing(later(10), later(20)), later(10)).await, Ok(true));
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![change(1, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(20))), "the same spec goes on");
    deploy_with(&store, "a", r#"{"priority":2}"#, vec![change(2, later(99))]).await;
    assert_eq!(store.next_due().await, Ok(Some(later(99))), "a new one begins anew");
    let stands = store.schedule(&name("a"), &schedule("often")).await.expect("a read").expect("a schedule");
    assert_eq!(stands.fired, 1, "what was counted stays");
    deploy_with(&store, "a", r#"{"priority":3}"#, vec![]).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert_eq!(store.schedules(None, PageRequest::first(10)).await.expect("a list").items, []);
}

pub(super) async fn unended_firings_are_counted(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let owner = owner(&store).await;
    let unended = || async { store.unended_firings(&name("a"), &schedule("often"), 10).await.expect("a count") };
    store.fire(firing(later(10), later(20)), later(10)).await.expect("a firing");
    store.fire(firing(later(20), later(30)), later(20)).await.expect("a firing");
    assert_eq!(unended().await, 2);
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(unended().await, 2, "a running one has not ended");
    done(&store, success(&owner, &run)).await;
    assert_eq!(unended().await, 1);
    let run = claim_one(&store, &owner, "a").await.run;
    let mut parked = success(&owner, &run);
    parked.run.state = tidemill_core::run::RunState::Parked(super::world::failure());
    parked.output = None;
    done(&store, parked).await;
    assert_eq!(unended().await, 0, "a parked one does not count");
}
