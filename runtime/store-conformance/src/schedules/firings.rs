//! Claims about the list of irregular firings, about schedules that end or pause themselves, and
//! about backfills.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::run::RunState;
use tidemill_core::schedule::Overlap;

use crate::fixture::{NOON, claim_one, deploy_with, done, failure, later, name, owner, schedule, scheduled, success};
use crate::schedules::changes::{carry_out, change, firing, parked, pause, resume_at, stored_schedule};
use tidemill_store::Store;
use tidemill_store::records::{
    BackfillPart, FeedEvent, FiringCommit, FiringEntry, FiringFate, NewFiring, NominalRange, Operation, OperationState,
    PageRequest, RetryChange, ScheduleChange, ScheduleResume, Task,
};

async fn list(store: &Arc<dyn Store>, limit: usize) -> Vec<FiringEntry> {
    store.firing_list(&name("a"), &schedule("often"), PageRequest::first(limit)).await.expect("a list").items
}

/// Fires `a`'s schedule at its next time.
async fn next(store: &Arc<dyn Store>, change: impl Fn(&mut FiringCommit)) {
    let due = stored_schedule(store, "a").await.next.expect("a next time");
    let mut firing = firing(due, due.plus_millis(10));
    change(&mut firing);
    carry_out(store, firing).await.expect("a firing of the current revision");
}

pub(crate) async fn only_irregular_firings_are_listed(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    next(&store, |_| {}).await;
    assert_eq!(list(&store, 9).await, []);
    let span = NominalRange { first: later(12), last: later(18), count: 4, more: false };
    next(&store, |firing| {
        firing.missed = Some(span);
        firing.firings[0].late = true;
        firing.firings.push(NewFiring { run: scheduled("a", "often", later(25)), late: true });
    })
    .await;
    let found = list(&store, 9).await;
    let shown: Vec<_> = found.iter().map(|entry| (entry.fate, entry.first, entry.last, entry.count)).collect();
    assert_eq!(shown, [(FiringFate::Late, later(20), later(25), 2), (FiringFate::Missed, later(12), later(18), 4)]);
    assert!(found.iter().all(|entry| entry.seen == later(20)));
    let stored = stored_schedule(&store, "a").await;
    assert_eq!((stored.fired, stored.late, stored.missed, stored.listed), (3, 2, 4, 2));
    assert_eq!(found[0].run, stored.last_run);
    let feed = store.feed(0, 100).await.expect("the feed");
    let feed = feed.iter().filter_map(|entry| match &entry.event {
        FeedEvent::Schedule { change, firings, .. } => Some((change.as_str(), *firings)),
        _ => None,
    });
    assert_eq!(feed.collect::<Vec<_>>(), [("missed", 4), ("late", 2)]);
}

pub(crate) async fn firings_cut_off_by_a_new_spec_are_missed(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let missed = Some(NominalRange { first: later(10), last: later(30), count: 3, more: false });
    let cut = |spec, next| vec![ScheduleChange { missed, ..change(spec, next) }];
    deploy_with(&store, "a", r#"{"priority":1}"#, cut(2, later(40))).await;
    assert_eq!(
        (stored_schedule(&store, "a").await.missed, stored_schedule(&store, "a").await.next),
        (3, Some(later(40)))
    );
    assert_eq!((list(&store, 9).await[0].fate, list(&store, 9).await[0].count), (FiringFate::Missed, 3));
    // The list was read in the meantime.
    deploy_with(&store, "a", r#"{"priority":2}"#, cut(3, later(50))).await;
    assert_eq!(stored_schedule(&store, "a").await.missed, 3);
}

pub(crate) async fn the_newest_thousand_are_kept(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    for _ in 0..1_005 {
        next(&store, |firing| firing.firings[0].late = true).await;
    }
    let (mut page, mut seen) = (PageRequest::first(300), Vec::new());
    loop {
        let found = store.firing_list(&name("a"), &schedule("often"), page).await.expect("a list");
        seen.extend(found.items.iter().map(|entry| entry.first));
        let Some(next) = found.next else { break };
        page = PageRequest { cursor: Some(next), limit: 300 };
    }
    let newest: Vec<_> = (6..=1_005).rev().map(|n| later(10 * n)).collect();
    assert_eq!(seen, newest);
    assert_eq!(stored_schedule(&store, "a").await.late, 1_005, "the count forgets nothing");
    // A later schedule of the same name starts with an empty list.
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![]).await;
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    assert_eq!(list(&store, 9).await, []);
}

pub(crate) async fn a_limit_ends_a_schedule(store: Arc<dyn Store>) {
    let limited = |limit| vec![ScheduleChange { limit, ..change(1, later(10)) }];
    deploy_with(&store, "a", "{}", limited(Some(3))).await;
    next(&store, |firing| firing.overlap = Overlap::Skip).await;
    next(&store, |firing| firing.overlap = Overlap::Skip).await;
    let one = stored_schedule(&store, "a").await;
    assert_eq!((one.fired, one.skipped, one.left), (1, 1, Some(2)), "one that was skipped uses nothing up");
    // Three firings are due, and two are allowed.
    next(&store, |firing| {
        let more = [later(35), later(38)].map(|time| NewFiring { run: scheduled("a", "often", time), late: false });
        firing.firings.extend(more);
    })
    .await;
    let ended = stored_schedule(&store, "a").await;
    assert_eq!((ended.fired, ended.left, ended.next, ended.last), (3, Some(0), None, Some(later(35))));
    assert_eq!(store.next_due().await, Ok(None));
    // Neither a resume nor a revision with the same schedule restarts it.
    pause(&store).await;
    let resumed = store.resume_schedule(&name("a"), &schedule("often"), resume_at(later(50)), NOON).await;
    assert_eq!(resumed.expect("a schedule").next, None);
    let other_words = ScheduleChange { spec: 2, ..limited(Some(3)).remove(0) };
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![other_words]).await;
    assert_eq!(stored_schedule(&store, "a").await.next, None);
    let more = ScheduleChange { spec: 3, ..limited(Some(4)).remove(0) };
    deploy_with(&store, "a", r#"{"priority":2}"#, vec![more]).await;
    let again = stored_schedule(&store, "a").await;
    assert_eq!(
        (again.left, again.next, again.fired),
        (Some(4), Some(later(40)), 3),
        "a new limit is counted from zero"
    );
}

pub(crate) async fn consecutive_failures_pause_a_schedule(store: Arc<dyn Store>) {
    let careful = vec![ScheduleChange { pause_after_failures: Some(2), ..change(1, later(10)) }];
    deploy_with(&store, "a", "{}", careful.clone()).await;
    let owner = owner(&store).await;
    let fails = async |how: fn(tidemill_core::Failure) -> RunState| {
        next(&store, |_| {}).await;
        let run = claim_one(&store, &owner, "a").await.run;
        let mut failed = parked(&owner, &run);
        failed.run.state = how(failure());
        done(&store, failed).await;
        run
    };
    let first = fails(RunState::Parked).await;
    next(&store, |_| {}).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    assert_eq!(stored_schedule(&store, "a").await.failures, 0, "a success resets the count");
    // A run that is retried and fails again counts as one failure.
    store.retry_run(first.id, RetryChange { component: None, from_start: false, now: NOON }).await.expect("a retry");
    let again = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &again)).await;
    store.retry_run(first.id, RetryChange { component: None, from_start: false, now: NOON }).await.expect("a retry");
    let again = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &again)).await;
    assert_eq!((stored_schedule(&store, "a").await.failures, stored_schedule(&store, "a").await.paused), (1, None));
    let last = fails(RunState::Failed).await;
    let paused = stored_schedule(&store, "a").await;
    let note = paused.paused.expect("it is paused").note;
    assert!(note.contains("2 runs in a row") && note.contains(&last.id.to_string()), "{note}");
    assert_eq!(store.next_due().await, Ok(None));
    let feed = store.feed(0, 1_000).await.expect("the feed");
    assert!(feed.iter().any(|entry| matches!(&entry.event,
        FeedEvent::Schedule { change, note: Some(why), .. } if change == "paused" && *why == note)));
    let resumed = store.resume_schedule(&name("a"), &schedule("often"), resume_at(later(90)), NOON).await;
    assert_eq!(resumed.expect("a schedule").failures, 0);
    fails(RunState::Failed).await;
    deploy_with(&store, "a", r#"{"priority":1}"#, careful).await;
    assert_eq!(stored_schedule(&store, "a").await.failures, 0, "a new revision resets the count");
}

pub(crate) async fn firings_passed_during_a_pause_are_listed(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    pause(&store).await;
    let passed = Some(NominalRange { first: later(10), last: later(40), count: 4, more: true });
    let resume = ScheduleResume { passed, ..resume_at(later(40)) };
    let resumed = store.resume_schedule(&name("a"), &schedule("often"), resume, later(45)).await.expect("a schedule");
    assert_eq!(resumed.next, Some(later(50)), "what passed does not fire");
    let found = list(&store, 9).await;
    assert_eq!((found[0].fate, found[0].count, found[0].seen, found[0].more), (FiringFate::Paused, 4, later(45), true));
    assert_eq!(stored_schedule(&store, "a").await.missed, 0, "times passed during a pause are not missed");
}

pub(crate) async fn a_part_of_a_backfill_is_created_once(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let task = Task::Backfill {
        deployment: name("a"),
        schedule: schedule("often"),
        start: NOON,
        end: later(9),
        overlap: Overlap::QueueOne,
    };
    let asked = Operation { total: Some(3), ..Operation::new("op", task, NOON) };
    store.put_operation(asked.clone()).await.expect("an operation");
    let part = |seen: Option<u8>, times: &[Timestamp], cursor: Option<u8>| BackfillPart {
        operation: Operation {
            cursor: cursor.map(|at| vec![at]),
            matched: 3,
            state: if cursor.is_some() { OperationState::Running } else { OperationState::Done },
            ..asked.clone()
        },
        seen: seen.map(|at| vec![at]),
        firings: times.iter().map(|at| NewFiring { run: scheduled("a", "often", *at), late: false }).collect(),
        queue: 100,
    };
    let first = part(None, &[later(1), later(2), later(3)], Some(3));
    let both = tokio::join!(store.backfill(first.clone(), NOON), store.backfill(first.clone(), NOON));
    let made = [both.0.expect("a part"), both.1.expect("a part")];
    assert_eq!(made.iter().flatten().count(), 1, "{made:?}");
    let (operation, fired) = made.into_iter().flatten().next().expect("one took hold");
    // One run starts, one waits, and one is dropped.
    assert_eq!((operation.done, operation.failed, fired.fired.len(), fired.dropped), (2, 1, 2, 1));
    assert_eq!(store.operation("op").await, Ok(Some(operation)));
    let stored = stored_schedule(&store, "a").await;
    assert_eq!((stored.fired, stored.dropped, stored.waiting, stored.next), (0, 0, 1, Some(later(10))));
    assert_eq!(list(&store, 9).await[0].operation.as_deref(), Some("op"));
    let (operation, _) = store.backfill(part(Some(3), &[], None), NOON).await.expect("a part").expect("the last one");
    assert_eq!((operation.done, operation.state), (2, OperationState::Done));
    assert_eq!(store.backfill(part(None, &[later(1)], Some(1)), NOON).await, Ok(None), "it is through");
}

pub(crate) async fn a_cancelled_backfill_creates_no_run(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let task = Task::Backfill {
        deployment: name("a"),
        schedule: schedule("often"),
        start: NOON,
        end: later(9),
        overlap: Overlap::Allow,
    };
    let asked = Operation { total: Some(3), ..Operation::new("op", task, NOON) };
    store.put_operation(asked.clone()).await.expect("an operation");
    let cancelled = store.cancel_operation("op", later(1)).await.expect("it is there");
    assert_eq!((cancelled.state, cancelled.ended_at), (OperationState::Cancelled, Some(later(1))));
    let firings = vec![NewFiring { run: scheduled("a", "often", later(1)), late: false }];
    let part = BackfillPart { operation: asked, seen: None, firings, queue: 100 };
    assert_eq!(store.backfill(part, later(2)).await, Ok(None));
    assert_eq!(store.queued(&name("a"), 9).await, Ok(0));
}
