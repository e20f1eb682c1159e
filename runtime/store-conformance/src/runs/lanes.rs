//! Claims about lanes: which runs enter, wait and leave. `model` compares random sequences with a
//! model.

use std::sync::Arc;

use tidemill_core::RunId;
use tidemill_core::lane::Lane;
use tidemill_core::run::{Run, RunEvent, RunState};

use crate::fixture::{
    NOON, a_and_b, child, claim_one, claimed_run, done, failure, fresh, later, name, new_run, request, success,
};
use tidemill_store::records::{NewRun, RetryChange, RunCommit};
use tidemill_store::{Store, StoreError};

pub(crate) fn key(of: &str, capacity: u32) -> Lane {
    Lane { name: format!("key/{of}"), capacity }
}

fn in_lanes(lanes: Vec<Lane>) -> NewRun {
    NewRun { lanes, ..new_run("a") }
}

async fn lane(store: &Arc<dyn Store>, lane: &Lane) -> (Vec<RunId>, Vec<RunId>) {
    let view = store.lane(&name("a"), &lane.name, 100).await.expect("a lane");
    assert_eq!((view.held as usize, view.waiting as usize), (view.in_it.len(), view.next.len()));
    (view.in_it, view.next)
}

fn parked(owner: &tidemill_core::ids::Owner, run: &Run) -> RunCommit {
    let state = run.state.next(RunEvent::Parked(failure())).expect("a running run can be parked");
    RunCommit::of(owner.clone(), Run { state, ..run.clone() }, NOON)
}

pub(crate) async fn a_waiting_run_enters_when_another_leaves(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let (k, s) = (key("k", 1), key("s", 1));
    let first = request(&store, in_lanes(vec![s.clone(), k.clone()])).await;
    assert_eq!(first.lanes, [k.clone(), s.clone()], "they are entered in one order");
    let second = request(&store, in_lanes(vec![k.clone()])).await;
    let third = request(&store, in_lanes(vec![k.clone(), s.clone()])).await;
    assert_eq!(lane(&store, &k).await, (vec![first.id], vec![second.id, third.id]));
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.id, first.id);
    assert_eq!(store.claim(&owner, &name("a"), 10, NOON).await, Ok(vec![]));
    assert_eq!(store.waiting_deployments(NOON).await, Ok(vec![]));
    let caused = done(&store, success(&owner, &run)).await;
    assert_eq!(caused.ready, [name("a")]);
    assert_eq!(lane(&store, &k).await, (vec![second.id], vec![third.id]));
    // A run that ends while it waits leaves too.
    store.request_cancel(third.id, false, NOON).await.expect("a queued run ends");
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    assert_eq!(lane(&store, &k).await, (vec![], vec![]));
    assert_eq!(lane(&store, &s).await, (vec![], vec![]));
}

pub(crate) async fn a_parked_run_keeps_its_lanes_until_it_ends(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let k = key("k", 1);
    let first = request(&store, in_lanes(vec![k.clone()])).await;
    let second = request(&store, in_lanes(vec![k.clone()])).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &run)).await;
    assert_eq!(lane(&store, &k).await, (vec![first.id], vec![second.id]));
    let retry = RetryChange { component: None, from_start: false, now: NOON };
    store.retry_run(first.id, retry).await.expect("a parked run is tried again");
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.id, first.id);
    // A failed run has ended: if it is retried, it is the last in the queue.
    let state = run.state.next(RunEvent::Failed(failure())).expect("a running run can fail");
    done(&store, RunCommit::of(owner.clone(), Run { state, ..run }, NOON)).await;
    let third = request(&store, in_lanes(vec![k.clone()])).await;
    store.retry_run(first.id, retry).await.expect("a failed run is tried again");
    assert_eq!(lane(&store, &k).await, (vec![second.id], vec![third.id, first.id]));
}

pub(crate) async fn a_delayed_run_needs_its_lanes_only_when_it_is_due(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let k = key("k", 1);
    let late = request(&store, NewRun { not_before: later(500), ..in_lanes(vec![k.clone()]) }).await;
    assert_eq!(lane(&store, &k).await, (vec![], vec![]));
    let soon = request(&store, in_lanes(vec![k.clone()])).await;
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, soon.id);
    assert_eq!(store.waiting_deployments(later(500)).await, Ok(vec![name("a")]));
    assert_eq!(store.claim(&owner, &name("a"), 10, later(500)).await, Ok(vec![]));
    assert_eq!(lane(&store, &k).await, (vec![soon.id], vec![late.id]));
    // A run in back-off keeps its lane.
    let state = RunState::Running { node: owner.node.clone(), epoch: owner.epoch };
    let state = state.next(RunEvent::Requeued { not_before: later(900) }).expect("it is queued again");
    done(&store, RunCommit::of(owner.clone(), Run { state, ..soon.clone() }, later(500))).await;
    assert_eq!(store.claim(&owner, &name("a"), 10, later(899)).await, Ok(vec![]));
    let claimed = store.claim(&owner, &name("a"), 10, later(900)).await.expect("a claim");
    assert_eq!(claimed.iter().map(|claimed| claimed.run.id).collect::<Vec<_>>(), [soon.id]);
}

pub(crate) async fn the_last_request_sets_the_capacity(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    for _ in 0..4 {
        request(&store, in_lanes(vec![key("k", 1)])).await;
    }
    request(&store, in_lanes(vec![key("k", 3)])).await;
    let (inside, waiting) = lane(&store, &key("k", 3)).await;
    assert_eq!((inside.len(), waiting.len()), (3, 2));
    request(&store, in_lanes(vec![key("k", 1)])).await;
    let claimed = store.claim(&owner, &name("a"), 10, NOON).await.expect("a claim");
    for claimed in &claimed[..2] {
        done(&store, success(&owner, &claimed.run)).await;
    }
    // No run is removed from the lane, and none enters before there is room.
    let (inside, waiting) = lane(&store, &key("k", 1)).await;
    assert_eq!((inside.len(), waiting.len()), (1, 3));
}

pub(crate) async fn a_cancelled_tree_leaves_its_lanes(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let k = key("k", 1);
    let parent = claimed_run(&store, &owner, "a").await;
    let mut commit = RunCommit::of(owner.clone(), parent.clone(), NOON);
    commit.starts = (0..3).map(|_| NewRun { lanes: vec![k.clone()], ..child(&parent, "a") }).collect();
    let children: Vec<_> = commit.starts.iter().map(|new| new.id).collect();
    done(&store, commit).await;
    let other = request(&store, in_lanes(vec![k.clone()])).await;
    assert_eq!(lane(&store, &k).await, (vec![children[0]], vec![children[1], children[2], other.id]));
    let running = claim_one(&store, &owner, "a").await.run;
    assert_eq!(running.id, children[0]);
    store.request_cancel(parent.id, true, NOON).await.expect("the tree ends");
    // The running run is ended by its owner.
    assert_eq!(lane(&store, &k).await, (vec![running.id], vec![other.id]));
    let state = running.state.next(RunEvent::Cancelled).expect("a running run is cancelled");
    done(&store, RunCommit::of(owner.clone(), Run { state, ..running }, NOON)).await;
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, other.id);
}

pub(crate) async fn a_run_that_ran_before_its_request_has_no_lanes(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let refused = store.commit_run(fresh(&owner, &in_lanes(vec![key("k", 1)]))).await;
    assert!(matches!(refused, Err(StoreError::IllegalTransition(_))), "{refused:?}");
    assert_eq!(lane(&store, &key("k", 1)).await, (vec![], vec![]));
}

pub(crate) async fn a_lane_has_a_valid_name_and_a_capacity(store: Arc<dyn Store>) {
    let _ = a_and_b(&store).await;
    let bad = [vec![key("a\0b", 1)], vec![key(&"x".repeat(200), 1)], vec![key("k", 0)], vec![key("k", 1), key("k", 1)]];
    for lanes in bad.into_iter().chain([(0..5).map(|n| key(&n.to_string(), 1)).collect()]) {
        let refused = store.request_run(in_lanes(lanes)).await;
        assert!(matches!(refused, Err(StoreError::IllegalTransition(_))), "{refused:?}");
    }
}
