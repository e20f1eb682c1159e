//! Claims about runs that start runs: cancellation from the leaves up, retry down to the leaf that
//! failed.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::{CancelRequest, Run, RunEvent, RunState, Wait, WaitCondition};
use tidemill_core::{ComponentDigest, Revision, RunId};

use crate::fixture::{
    NOON, a_and_b, child, claim_one, claimed_run, deploy, done, failure, later, name, new_run, owner, request, start,
    success, suspended,
};
use tidemill_store::records::{NewRun, NewSignal, PageRequest, RetryChange, RunCommit, RunCommitResult};
use tidemill_store::{Store, StoreError};

async fn run(store: &Arc<dyn Store>, id: RunId) -> Run {
    store.run(id).await.expect("a read").expect("a run")
}

fn ends(owner: &Owner, run: &Run, event: RunEvent) -> RunCommit {
    let state = run.state.next(event).expect("a running run can end");
    let ended_at = state.has_ended().then_some(NOON);
    RunCommit::of(owner.clone(), Run { state, ended_at, ..run.clone() }, NOON)
}

fn retry() -> RetryChange {
    RetryChange { component: None, from_start: false, now: later(9) }
}

/// Starts and claims a child of `parent`.
async fn below(store: &Arc<dyn Store>, owner: &Owner, parent: &Run) -> Run {
    start(store, owner, parent, 1).await;
    claim_one(store, owner, "b").await.run
}

pub(crate) async fn a_start_is_committed_once_with_its_transaction(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let commit = |starts: Vec<NewRun>| RunCommit { starts, ..RunCommit::of(owner.clone(), parent.clone(), NOON) };
    let (first, second) = (child(&parent, "b"), child(&parent, "b"));
    let caused = done(&store, commit(vec![first.clone()])).await;
    assert_eq!(caused.ready, [name("b")]);
    // A repeated start finds the run that the first one created.
    assert_eq!(done(&store, commit(vec![first.clone(), second.clone()])).await.ready, [name("b")]);
    let mut known = Vec::new();
    let mut page = PageRequest::first(1);
    loop {
        let part = store.children(parent.id, page.clone()).await.expect("a page");
        known.extend(part.items.iter().map(|child| child.id));
        let Some(next) = part.next else { break };
        page.cursor = Some(next);
    }
    assert_eq!(known, [first.id, second.id]);
    let stranger = store.commit_run(commit(vec![new_run("b")])).await;
    assert!(matches!(stranger, Err(StoreError::IllegalTransition(_))), "{stranger:?}");
    // A deployment that existed when the transaction read it and no longer exists is a conflict.
    let nowhere = store.commit_run(commit(vec![child(&parent, "c")])).await.expect("no error");
    assert!(matches!(nowhere, RunCommitResult::Conflict { read: 0, .. }), "{nowhere:?}");
    request(&store, NewRun { key: Some("k".into()), ..new_run("b") }).await;
    let keyed = NewRun { key: Some("k".into()), ..child(&parent, "b") };
    let taken = store.commit_run(commit(vec![keyed])).await.expect("no error");
    assert!(matches!(taken, RunCommitResult::Conflict { .. }), "{taken:?}");
    assert_eq!(store.children(parent.id, PageRequest::first(9)).await.expect("a list").items.len(), 2);
}

pub(crate) async fn children_end_with_their_parent_unless_detached(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let running = below(&store, &owner, &parent).await;
    let free = NewRun { detached: true, ..child(&parent, "b") };
    let queued = child(&parent, "b");
    let mut commit = success(&owner, &parent);
    commit.starts = vec![free.clone(), queued.clone()];
    let caused = done(&store, commit).await;
    assert_eq!(caused.cancelling, [running.id]);
    assert_eq!(caused.settled.iter().map(|run| run.id).collect::<Vec<_>>(), [queued.id]);
    assert_eq!(run(&store, queued.id).await.state, RunState::Cancelled);
    assert!(run(&store, running.id).await.cancel.is_some_and(|asked| !asked.terminate && !asked.notified));
    assert_eq!(run(&store, free.id).await.cancel, None);
    assert_eq!(claim_one(&store, &owner, "b").await.run.id, free.id);
}

pub(crate) async fn the_leaves_are_notified_first(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let root = claimed_run(&store, &owner, "a").await;
    let middle = below(&store, &owner, &root).await;
    let leaf = below(&store, &owner, &middle).await;
    done(
        &store,
        suspended(&owner, &root, Wait { any_of: vec![WaitCondition::Run(middle.id)], all: false, until: None }),
    )
    .await;
    done(
        &store,
        suspended(&owner, &middle, Wait { any_of: vec![WaitCondition::Signal("x".into())], all: false, until: None }),
    )
    .await;
    let (asked, caused) = store.request_cancel(root.id, false, later(1)).await.expect("a cancellation");
    let marked = Some(CancelRequest { at: later(1), terminate: false, notified: false });
    assert_eq!((asked.cancel, caused.ready, caused.cancelling), (marked, vec![], vec![leaf.id]));
    assert_eq!(run(&store, leaf.id).await.cancel, marked);
    assert_eq!(run(&store, middle.id).await.cancel, marked);
    // The owner's commit does not remove the cancel request.
    let notified = CancelRequest { at: later(1), terminate: false, notified: true };
    let mut commit = RunCommit::of(owner.clone(), leaf.clone(), NOON);
    done(&store, commit.clone()).await;
    assert_eq!(run(&store, leaf.id).await.cancel, marked);
    commit.run.cancel = Some(notified);
    done(&store, commit).await;
    assert_eq!(run(&store, leaf.id).await.cancel, Some(notified));
    let caused = done(&store, ends(&owner, &leaf, RunEvent::Cancelled)).await;
    assert_eq!((caused.ready, caused.cancelling), (vec![name("b")], vec![]), "now the middle run is notified");
    let middle = claim_one(&store, &owner, "b").await.run;
    let caused = done(&store, ends(&owner, &middle, RunEvent::Cancelled)).await;
    assert_eq!(caused.ready, [name("a")]);
    let root = claim_one(&store, &owner, "a").await.run;
    assert_eq!(root.cancel, marked);
    done(&store, ends(&owner, &root, RunEvent::Cancelled)).await;
    let again = store.request_cancel(root.id, false, later(2)).await;
    assert!(matches!(again, Err(StoreError::IllegalTransition(_))), "{again:?}");
}

pub(crate) async fn a_run_with_nothing_to_undo_ends_without_notification(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let queued = request(&store, NewRun { not_before: later(500), ..new_run("a") }).await;
    let (ended, _) = store.request_cancel(queued.id, false, NOON).await.expect("a cancellation");
    assert_eq!((ended.state, ended.ended_at), (RunState::Cancelled, Some(NOON)));
    assert_eq!(store.next_delayed(NOON).await, Ok(None));
    // A parked run ends too, and its running children are cancelled.
    let parent = claimed_run(&store, &owner, "a").await;
    let leaf = below(&store, &owner, &parent).await;
    done(&store, ends(&owner, &parent, RunEvent::Parked(failure()))).await;
    let (ended, caused) = store.request_cancel(parent.id, false, NOON).await.expect("a cancellation");
    assert_eq!((ended.state, caused.cancelling), (RunState::Cancelled, vec![leaf.id]));
    // A run with a journal that waits for a retry is notified now.
    let begun = claimed_run(&store, &owner, "a").await;
    let mut later_on = ends(&owner, &begun, RunEvent::Requeued { not_before: later(500) });
    later_on.journal = Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"x")] });
    done(&store, later_on).await;
    let (asked, caused) = store.request_cancel(begun.id, false, NOON).await.expect("a cancellation");
    assert_eq!((asked.state.name(), caused.ready), ("queued", vec![name("a")]));
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, begun.id);
}

pub(crate) async fn a_cancelled_run_is_not_parked(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let leaf = below(&store, &owner, &parent).await;
    done(
        &store,
        suspended(&owner, &parent, Wait { any_of: vec![WaitCondition::Run(leaf.id)], all: false, until: None }),
    )
    .await;
    store.request_cancel(parent.id, false, NOON).await.expect("a cancellation");
    let caused = done(&store, ends(&owner, &leaf, RunEvent::Parked(failure()))).await;
    assert_eq!(run(&store, leaf.id).await.state, RunState::Cancelled, "no run would ever retry it");
    assert_eq!(caused.ready, [name("a")]);
    // A child that it starts later is cancelled too.
    let parent = claim_one(&store, &owner, "a").await.run;
    let late = child(&parent, "b");
    let mut commit = RunCommit::of(owner.clone(), parent, NOON);
    commit.starts = vec![late.clone()];
    done(&store, commit).await;
    assert_eq!(run(&store, late.id).await.state, RunState::Cancelled);
}

pub(crate) async fn terminating_ends_the_tree_at_once(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let root = claimed_run(&store, &owner, "a").await;
    let middle = below(&store, &owner, &root).await;
    let leaf = below(&store, &owner, &middle).await;
    for parent in [&root, &middle] {
        done(
            &store,
            suspended(
                &owner,
                parent,
                Wait { any_of: vec![WaitCondition::Signal("x".into())], all: false, until: None },
            ),
        )
        .await;
    }
    store.request_cancel(root.id, false, NOON).await.expect("a cancellation");
    let (ended, caused) = store.request_cancel(root.id, true, NOON).await.expect("a termination");
    assert_eq!(ended.state, RunState::Cancelled);
    assert_eq!(run(&store, middle.id).await.state, RunState::Cancelled);
    assert_eq!(caused.cancelling, [leaf.id], "its owner ends it");
    assert!(run(&store, leaf.id).await.cancel.is_some_and(|asked| asked.terminate));
    assert_eq!(store.waiting_deployments(NOON).await, Ok(vec![]));
}

pub(crate) async fn a_large_family_is_cancelled_in_parts(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let children = start(&store, &owner, &parent, 700).await;
    done(
        &store,
        suspended(&owner, &parent, Wait { any_of: vec![WaitCondition::Signal("x".into())], all: false, until: None }),
    )
    .await;
    let (_, caused) = store.request_cancel(parent.id, false, NOON).await.expect("a cancellation");
    let mut settled = caused.settled.len();
    assert!(settled < 700, "not all in one commit");
    assert_eq!(caused.ready, []);
    let mut more = true;
    while more {
        let (rest, caused) = store.drain_cancels(100, NOON).await.expect("a part");
        settled += caused.settled.len();
        assert_eq!(caused.ready.is_empty(), rest, "the last child wakes the parent");
        more = rest;
    }
    assert_eq!(settled, children.len());
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, parent.id);
    assert!(!store.drain_cancels(100, NOON).await.expect("nothing").0);
}

pub(crate) async fn a_retry_resumes_at_the_leaf_that_failed(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let root = claimed_run(&store, &owner, "a").await;
    let middle = below(&store, &owner, &root).await;
    let leaf = below(&store, &owner, &middle).await;
    let well = below(&store, &owner, &root).await;
    let known = below(&store, &owner, &root).await;
    let journal = Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"x")] });
    done(&store, success(&owner, &well)).await;
    done(&store, ends(&owner, &known, RunEvent::Failed(failure()))).await;
    done(&store, RunCommit { journal: journal.clone(), ..ends(&owner, &leaf, RunEvent::Failed(failure())) }).await;
    done(&store, ends(&owner, &middle, RunEvent::Failed(failure()))).await;
    let mut parks = ends(&owner, &root, RunEvent::Parked(failure()));
    parks.journal = journal.clone();
    parks.observed = vec![known.id];
    done(&store, parks).await;
    let (again, caused) = store.retry_run(root.id, retry()).await.expect("a retry");
    assert_eq!((again.state.name(), again.attempt, again.ended_at), ("queued", 2, None));
    assert_eq!(caused.ready, [name("a"), name("b")]);
    for (id, state) in [(middle.id, "queued"), (leaf.id, "queued"), (well.id, "succeeded"), (known.id, "failed")] {
        assert_eq!(run(&store, id).await.state.name(), state);
    }
    assert_eq!(store.journal(leaf.id).await.expect("a journal").chunks.len(), 1, "each from where it stopped");
    // They are still children: their ends wake their parents, and they end with their parent.
    let claimed = store.claim(&owner, &name("a"), 1, later(9)).await.expect("a claim").remove(0).run;
    let caused = done(&store, success(&owner, &claimed)).await;
    // The leaf has a journal: it is notified, not ended, and the middle run waits for it.
    assert_eq!((caused.settled, caused.ready), (vec![], vec![name("b")]));
    let notified = store.claim(&owner, &name("b"), 9, later(9)).await.expect("a claim");
    assert!(notified.iter().all(|one| one.run.cancel.is_some()));
}

pub(crate) async fn a_retry_may_restart_or_use_another_component(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let parked = claimed_run(&store, &owner, "a").await;
    store
        .signal(NewSignal { to: parked.id, name: "x".into(), payload: Bytes::from_static(b"1"), key: None }, NOON)
        .await
        .expect("a signal");
    let mut commit = ends(&owner, &parked, RunEvent::Parked(failure()));
    commit.run.journal_entries = 5;
    commit.journal = Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"x")] });
    commit.snapshot = Some(Bytes::from_static(b"h"));
    done(&store, commit).await;
    let other = ComponentDigest::of(b"other");
    let from_start = RetryChange { component: Some((Revision::new(3), other)), from_start: true, now: NOON };
    let (again, _) = store.retry_run(parked.id, from_start).await.expect("a retry");
    assert_eq!((again.revision, again.component, again.journal_entries), (Revision::new(3), other, 0));
    let journal = store.journal(parked.id).await.expect("a journal");
    assert_eq!((journal.chunks.len(), journal.snapshot), (0, None));
    assert!(store.inbox(parked.id, "x", None).await.expect("a read").is_some(), "signals stay");
    let not_ended = store.retry_run(parked.id, retry()).await;
    assert!(matches!(not_ended, Err(StoreError::IllegalTransition(_))), "{not_ended:?}");
    let claimed = claim_one(&store, &owner, "a").await.run;
    done(&store, ends(&owner, &claimed, RunEvent::Failed(failure()))).await;
    assert_eq!(store.retry_run(claimed.id, retry()).await.expect("by hand").0.attempt, 3);
}
