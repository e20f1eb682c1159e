//! Claims about firings that overlap with unended runs of their schedule.

use std::sync::Arc;

use tidemill_core::ids::Owner;
use tidemill_core::run::Run;
use tidemill_core::schedule::Overlap;
use tidemill_core::{RunId, Timestamp};

use crate::fixture::{NOON, claim_one, deploy_with, done, later, name, owner, request, schedule, scheduled, success};
use crate::schedules::changes::{carry_out, change, firing, parked, started, stored_schedule};
use tidemill_store::Store;
use tidemill_store::records::{
    FiringCommit, FiringCommitResult, FiringFate, NewFiring, PageRequest, QueueKind, RunFilter, RunRequestResult,
};

async fn fire(store: &Arc<dyn Store>, firing: FiringCommit) -> FiringCommitResult {
    carry_out(store, firing).await.expect("a firing of the current revision")
}

/// Fires `a`'s schedule at its next time.
async fn next(store: &Arc<dyn Store>, overlap: Overlap) -> FiringCommitResult {
    let due = stored_schedule(store, "a").await.next.expect("a next time");
    fire(store, FiringCommit { overlap, ..firing(due, due.plus_millis(10)) }).await
}

/// Deploys `a` and claims one run of its schedule.
async fn with_running(store: &Arc<dyn Store>, overlap: Overlap) -> (Owner, Run) {
    deploy_with(store, "a", "{}", vec![change(1, later(10))]).await;
    let owner = owner(store).await;
    assert_eq!(next(store, overlap).await.fired, [later(10)]);
    let run = claim_one(store, &owner, "a").await.run;
    (owner, run)
}

/// Returns the nominal times and states of all runs of a deployment.
async fn runs(store: &Arc<dyn Store>, of: &str) -> Vec<(Timestamp, &'static str)> {
    let filter = RunFilter { deployment: Some(name(of)), ..RunFilter::default() };
    let found = store.runs(filter, PageRequest::first(500)).await.expect("a list").items;
    let mut runs: Vec<_> = found.iter().map(|run| (run.trigger.at.unwrap_or_default(), run.state.name())).collect();
    runs.sort();
    runs
}

async fn ready(store: &Arc<dyn Store>) -> usize {
    store.queued(&name("a"), 100).await.expect("a count")
}

async fn waiting(store: &Arc<dyn Store>) -> Vec<RunId> {
    let found = store.unended_firings(&name("a"), &schedule("often"), 100).await.expect("a look").waiting;
    assert_eq!(stored_schedule(store, "a").await.waiting, found.len() as u64);
    found
}

pub(crate) async fn an_overlapping_firing_is_skipped_with_a_reason(store: Arc<dyn Store>) {
    let (owner, run) = with_running(&store, Overlap::Skip).await;
    let skipped = next(&store, Overlap::Skip).await;
    assert_eq!((skipped.fired, skipped.skipped), (vec![], 1));
    let list = store.firing_list(&name("a"), &schedule("often"), PageRequest::first(9)).await.expect("a list").items;
    assert_eq!((list.len(), list[0].fate, list[0].run), (1, FiringFate::Skipped, Some(run.id)));
    assert_eq!((list[0].first, list[0].code.as_str()), (later(20), "host/overlap-skipped"));
    done(&store, parked(&owner, &run)).await;
    assert_eq!(next(&store, Overlap::Skip).await.fired, [later(30)], "a parked run is no overlap");
    assert_eq!(stored_schedule(&store, "a").await.skipped, 1);
}

pub(crate) async fn one_firing_waits_and_the_next_is_dropped(store: Arc<dyn Store>) {
    let (owner, run) = with_running(&store, Overlap::QueueOne).await;
    assert_eq!(next(&store, Overlap::QueueOne).await.fired, [later(20)]);
    assert_eq!((ready(&store).await, waiting(&store).await.len()), (0, 1));
    let dropped = next(&store, Overlap::QueueOne).await;
    assert_eq!((dropped.fired, dropped.dropped), (vec![], 1));
    let turn = waiting(&store).await[0];
    let position = async || store.queue_position(turn, 9).await.expect("a look").expect("a run");
    assert_eq!((position().await.listed, position().await.turn_after), (QueueKind::Turn(0), vec![run.id]));
    assert!(done(&store, success(&owner, &run)).await.ready == [name("a")], "its turn has come");
    assert_eq!((position().await.listed, position().await.turn_after), (QueueKind::Ready(0), vec![]));
    assert_eq!((started(&store).await, waiting(&store).await), (vec![turn], vec![]));
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, turn);
    // The queue has room again.
    assert_eq!(next(&store, Overlap::QueueOne).await.fired, [later(40)]);
    assert_eq!(waiting(&store).await.len(), 1);
}

pub(crate) async fn all_firings_wait_in_order_up_to_the_bound(store: Arc<dyn Store>) {
    let (owner, mut run) = with_running(&store, Overlap::QueueAll).await;
    for _ in 0..3 {
        next(&store, Overlap::QueueAll).await;
    }
    let due = stored_schedule(&store, "a").await.next.expect("a next time");
    let full = FiringCommit { overlap: Overlap::QueueAll, queue: 3, ..firing(due, later(60)) };
    assert_eq!(fire(&store, full).await.dropped, 1);
    let list = store.firing_list(&name("a"), &schedule("often"), PageRequest::first(9)).await.expect("a list").items;
    assert_eq!((list[0].fate, list[0].code.as_str()), (FiringFate::Dropped, "host/queue-full"));
    for nominal in [later(20), later(30), later(40)] {
        done(&store, success(&owner, &run)).await;
        assert_eq!(ready(&store).await, 1, "one at a time");
        run = claim_one(&store, &owner, "a").await.run;
        assert_eq!(run.trigger.at, Some(nominal));
    }
    done(&store, success(&owner, &run)).await;
    assert_eq!((started(&store).await, waiting(&store).await, ready(&store).await), (vec![], vec![], 0));
}

pub(crate) async fn a_firing_starts_after_the_others_are_cancelled_or_terminated(store: Arc<dyn Store>) {
    for (deployment, overlap) in [("a", Overlap::CancelOther), ("a", Overlap::TerminateOther)] {
        deploy_with(&store, deployment, "{}", vec![change(1, later(10))]).await;
        let owner = owner(&store).await;
        next(&store, overlap).await;
        let run = claim_one(&store, &owner, "a").await.run;
        let second = next(&store, overlap).await;
        assert_eq!((second.fired.len(), second.caused.cancelling), (1, vec![run.id]));
        let asked = store.run(run.id).await.expect("a read").expect("a run").cancel.expect("it was asked");
        assert_eq!(asked.terminate, overlap == Overlap::TerminateOther);
        let first_to_wait = waiting(&store).await;
        assert_eq!((first_to_wait.len(), ready(&store).await), (1, 0));
        // A third firing replaces the second run, which has not started.
        let third = next(&store, overlap).await;
        assert_eq!(third.caused.settled.iter().map(|run| run.id).collect::<Vec<_>>(), first_to_wait);
        let turn = waiting(&store).await;
        assert!(turn.len() == 1 && turn != first_to_wait);
        let mut ended = success(&owner, &run);
        ended.run.state = tidemill_core::run::RunState::Cancelled;
        ended.output = None;
        done(&store, ended).await;
        let last = claim_one(&store, &owner, "a").await.run;
        assert_eq!(vec![last.id], turn);
        done(&store, success(&owner, &last)).await;
        deploy_with(&store, deployment, r#"{"priority":1}"#, vec![]).await;
    }
}

pub(crate) async fn a_manual_run_counts_as_an_overlap(store: Arc<dyn Store>) {
    deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
    let owner = owner(&store).await;
    let by_hand = scheduled("a", "often", NOON);
    let made = store.trigger_schedule(&schedule("often"), by_hand.clone()).await.expect("a run");
    assert!(matches!(made, RunRequestResult::Created(_)));
    let unknown = store.trigger_schedule(&schedule("other"), scheduled("a", "other", NOON)).await;
    assert!(unknown.is_err());
    assert_eq!(next(&store, Overlap::QueueOne).await.fired.len(), 1);
    assert_eq!((started(&store).await, waiting(&store).await.len()), (vec![by_hand.id], 1));
    // Another manual run does not wait, but later firings wait for it.
    let other = request(&store, scheduled("a", "often", NOON)).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    assert_eq!(waiting(&store).await.len(), 1);
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.id, other.id.max(by_hand.id));
    done(&store, success(&owner, &run)).await;
    assert_eq!((waiting(&store).await.len(), ready(&store).await), (0, 1));
    let schedule = stored_schedule(&store, "a").await;
    assert_eq!((schedule.fired, schedule.by_hand), (1, 1));
}

pub(crate) async fn a_waiting_run_may_be_cancelled(store: Arc<dyn Store>) {
    let (owner, run) = with_running(&store, Overlap::QueueAll).await;
    next(&store, Overlap::QueueAll).await;
    next(&store, Overlap::QueueAll).await;
    let turns = waiting(&store).await;
    store.request_cancel(turns[0], false, NOON).await.expect("a cancellation");
    assert_eq!(waiting(&store).await, turns[1..]);
    done(&store, success(&owner, &run)).await;
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, turns[1]);
    // The same holds if the schedule was removed in the meantime.
    next(&store, Overlap::QueueAll).await;
    let last = waiting(&store).await;
    deploy_with(&store, "a", r#"{"priority":1}"#, vec![]).await;
    let run = store.run(turns[1]).await.expect("a read").expect("a run");
    done(&store, success(&owner, &run)).await;
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, last[0]);
}

pub(crate) async fn several_firings_at_once_equal_single_ones(store: Arc<dyn Store>) {
    for (at, overlap) in Overlap::ALL.into_iter().enumerate() {
        for busy in [false, true] {
            let (once, singly) = (format!("once{at}{busy}"), format!("singly{at}{busy}"));
            for deployment in [&once, &singly] {
                deploy_with(&store, deployment, "{}", vec![change(1, later(10))]).await;
                if busy {
                    request(&store, scheduled(deployment, "often", NOON)).await;
                }
            }
            let times: Vec<_> = (1..=5).map(|n| later(10 * n)).collect();
            let of = |deployment: &str, times: &[Timestamp]| {
                let firings = times.iter().map(|time| scheduled(deployment, "often", *time));
                FiringCommit {
                    deployment: name(deployment),
                    overlap,
                    queue: 2,
                    next: times.last().map(|last| last.plus_millis(10).into()),
                    firings: firings.map(|run| NewFiring { run, late: false }).collect(),
                    ..firing(times[0], later(99))
                }
            };
            fire(&store, of(&once, &times)).await;
            for time in &times {
                fire(&store, of(&singly, &[*time])).await;
            }
            let (one, other) = (stored_schedule(&store, &once).await, stored_schedule(&store, &singly).await);
            let counts =
                |of: &tidemill_store::records::Schedule| (of.fired, of.skipped, of.dropped, of.waiting, of.next);
            assert_eq!(counts(&one), counts(&other), "{overlap:?}, busy: {busy}");
            assert_eq!(one.fired + one.skipped + one.dropped, 5, "{overlap:?}, busy: {busy}");
            assert_eq!(runs(&store, &once).await, runs(&store, &singly).await, "{overlap:?}, busy: {busy}");
        }
    }
}

/// A firing can race with the end of the previous run. Either it finds that run and is skipped or
/// waits for a turn that comes, or it does not find it and starts.
pub(crate) async fn no_turn_is_lost_if_a_firing_and_an_end_race(store: Arc<dyn Store>) {
    for overlap in [Overlap::Skip, Overlap::QueueOne, Overlap::QueueAll, Overlap::CancelOther] {
        deploy_with(&store, "a", "{}", vec![change(1, later(10))]).await;
        let owner = owner(&store).await;
        for _ in 0..20 {
            let due = stored_schedule(&store, "a").await.next.expect("a next time");
            next(&store, overlap).await;
            let run = claim_one(&store, &owner, "a").await.run;
            let firing = FiringCommit { overlap, ..firing(due.plus_millis(10), due.plus_millis(20)) };
            let (fired, _) = tokio::join!(fire(&store, firing), done(&store, success(&owner, &run)));
            assert_eq!(waiting(&store).await, [], "no run is open, so no firing waits");
            assert_eq!((ready(&store).await, fired.fired.len() as u64), (fired.fired.len(), 1 - fired.skipped));
            if ready(&store).await == 1 {
                let run = claim_one(&store, &owner, "a").await.run;
                done(&store, success(&owner, &run)).await;
            }
        }
        deploy_with(&store, "a", r#"{"priority":1}"#, vec![]).await;
    }
}
