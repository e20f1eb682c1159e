//! Claims about operations on many runs, and about retention.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::ComponentDigest;
use tidemill_core::journal::JournalChange;

use crate::fixture::{
    NOON, a_and_b, claim_one, claimed_run, component, deploy, done, failure, later, name, start, success, version,
};
use tidemill_store::Store;
use tidemill_store::StoreError;
use tidemill_store::records::{
    Action, NewSignal, Operation, OperationState, PageRequest, RetentionPolicy, RunFilter, Task,
};

fn operation(id: &str) -> Operation {
    let filter = RunFilter { deployment: Some(name("a")), states: vec!["parked".into()], ..RunFilter::default() };
    Operation::new(id, Task::Runs { action: Action::Retry, filter }, NOON)
}

pub(crate) async fn an_operation_is_found_until_it_is_done(store: Arc<dyn Store>) {
    for id in ["2", "1"] {
        store.put_operation(operation(id)).await.expect("an operation");
    }
    assert_eq!(store.open_operations().await, Ok(vec![operation("1"), operation("2")]));
    let through = Operation {
        state: OperationState::Done,
        done: 7,
        cursor: Some(vec![1]),
        ended_at: Some(later(1)),
        ..operation("1")
    };
    store.put_operation(through.clone()).await.expect("an operation");
    assert_eq!(store.operation("1").await, Ok(Some(through)));
    assert_eq!(store.open_operations().await, Ok(vec![operation("2")]));
    assert_eq!(store.operation("3").await, Ok(None));
    let other = Operation { matched: 9, ..operation("2") };
    assert_eq!(store.add_operation(other).await, Ok(operation("2")), "the one that is there stays");
    assert_eq!(store.add_operation(operation("4")).await, Ok(operation("4")));
    assert_eq!(store.operation("4").await, Ok(Some(operation("4"))));
    assert!(store.put_operation(operation("")).await.is_err());
    let ids =
        |page: tidemill_store::records::Page<Operation>| page.items.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(store.operations(PageRequest::first(10)).await.map(ids), Ok(vec!["1".into(), "2".into(), "4".into()]));
    let old = RetentionPolicy { ended_before: Some(later(2)), uploaded_before: None };
    store.expire(old, 10).await.expect("retention");
    assert_eq!(store.operation("1").await, Ok(None));
    assert!(store.operation("2").await.expect("a read").is_some());
}

/// An operation may be cancelled while one of its pages is being processed. The page's results are
/// counted, and no page follows.
pub(crate) async fn a_cancelled_operation_stays_cancelled_and_counts_its_results(store: Arc<dyn Store>) {
    store.put_operation(operation("1")).await.expect("an operation");
    let cancelled = store.cancel_operation("1", later(3)).await.expect("it is there");
    assert_eq!((cancelled.state, cancelled.ended_at), (OperationState::Cancelled, Some(later(3))));
    assert_eq!(store.open_operations().await, Ok(vec![]));
    let page = Operation { matched: 5, done: 4, failed: 1, cursor: Some(vec![1]), ..operation("1") };
    let stored = store.put_operation(page).await.expect("a commit");
    let counts = |of: &Operation| (of.state, of.matched, of.done, of.failed, of.ended_at, of.cursor.clone());
    assert_eq!(counts(&stored), (OperationState::Cancelled, 5, 4, 1, Some(later(3)), None));
    assert_eq!(store.operation("1").await, Ok(Some(stored.clone())));
    // A repeated cancellation changes nothing, and neither does one of a completed operation.
    assert_eq!(store.cancel_operation("1", later(9)).await, Ok(stored));
    let done = Operation { state: OperationState::Done, ended_at: Some(later(2)), ..operation("2") };
    store.put_operation(done.clone()).await.expect("an operation");
    assert_eq!(store.cancel_operation("2", later(9)).await, Ok(done.clone()));
    assert_eq!(store.put_operation(operation("2")).await, Ok(done));
    assert!(matches!(store.cancel_operation("3", NOON).await, Err(StoreError::NotFound { .. })));
    let old = RetentionPolicy { ended_before: Some(later(4)), uploaded_before: None };
    store.expire(old, 10).await.expect("retention");
    assert_eq!(store.operation("1").await, Ok(None));
}

pub(crate) async fn an_expired_run_is_removed_completely(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let mut old = Vec::new();
    for _ in 0..30 {
        let run = claimed_run(&store, &owner, "a").await;
        let signal =
            NewSignal { to: run.id, name: "x".into(), payload: Bytes::from_static(b"1"), key: Some("k".into()) };
        store.signal(signal, NOON).await.expect("a signal");
        let mut commit = success(&owner, &run);
        commit.journal = Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"x"); 200] });
        done(&store, commit).await;
        old.push(run.id);
    }
    let parked = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &parked);
    commit.run.state = tidemill_core::run::RunState::Parked(failure());
    (commit.output, commit.run.ended_at) = (None, None);
    done(&store, commit).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let children = start(&store, &owner, &parent, 1).await;
    let ended = claim_one(&store, &owner, "b").await.run;
    done(&store, success(&owner, &ended)).await;
    let young = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &young);
    commit.run.ended_at = Some(later(10));
    done(&store, commit).await;

    let policy = RetentionPolicy { ended_before: Some(later(10)), uploaded_before: None };
    let mut runs = 0;
    loop {
        let expired = store.expire(policy, 7).await.expect("retention");
        assert!(expired.runs <= 7);
        runs += expired.runs;
        if !expired.more {
            break;
        }
    }
    assert_eq!(runs, old.len());
    for id in old {
        assert_eq!(store.run(id).await, Ok(None));
        assert_eq!(store.input(id).await, Ok(None));
        assert_eq!(store.output(id).await, Ok(None));
        assert_eq!(store.journal(id).await.expect("a journal").chunks.len(), 0);
        assert_eq!(store.inbox(id, "x", None).await, Ok(None));
    }
    for stays in [parked.id, parent.id, children[0].id, young.id] {
        assert!(store.run(stays).await.expect("a read").is_some());
    }
    let listed =
        store.runs(RunFilter { deployment: Some(name("a")), ..RunFilter::default() }, PageRequest::first(100)).await;
    assert_eq!(listed.expect("a list").items.len(), 3);
    // Without its parent, no run refers to the child.
    done(&store, success(&owner, &parent)).await;
    while store.expire(policy, 7).await.expect("retention").more {}
    assert_eq!(store.run(children[0].id).await, Ok(None));
}

pub(crate) async fn an_unused_component_is_removed(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    store.put_version(version("2.0.0", b"unused"), component(b"unused")).await.expect("a version");
    let policy = RetentionPolicy { ended_before: None, uploaded_before: Some(NOON) };
    assert_eq!(store.expire(policy, 10).await.expect("retention").components, [], "they came no earlier");
    let policy = RetentionPolicy { ended_before: None, uploaded_before: Some(later(1)) };
    let unused = ComponentDigest::of(b"unused");
    assert_eq!(store.expire(policy, 10).await.expect("retention").components, [unused]);
    assert_eq!(store.component(&unused).await, Ok(None));
    assert!(store.component(&crate::fixture::digest()).await.expect("a read").is_some());
    assert_eq!(store.expire(policy, 10).await.expect("retention").components, []);
}
