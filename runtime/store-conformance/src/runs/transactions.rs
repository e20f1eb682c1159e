//! Claims about transactions: serialisable, and complete or without effect.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::DeploymentName;
use tidemill_core::ids::Owner;

use crate::fixture::{NOON, claimed_run, deploy, done, fresh, later, name, new_run, owner, success};
use tidemill_store::records::{
    CommitStart, NewRun, ReadCheck, RecoveryFilter, RunCommit, RunCommitResult, ScanRequest, StateWrite, Version,
};
use tidemill_store::{Store, StoreError};

fn write(key: &str, value: &[u8]) -> StateWrite {
    StateWrite { key: key.into(), value: Some(Bytes::copy_from_slice(value)) }
}

async fn read(store: &Arc<dyn Store>, of: &DeploymentName, key: &str) -> (Option<Bytes>, ReadCheck) {
    let found = store.state(of, key).await.expect("a read");
    (found.value, ReadCheck::State { key: key.into(), version: found.version })
}

pub(crate) async fn two_transactions_that_read_the_same_version_do_not_both_commit(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (value, check) = read(&store, &name("a"), "n").await;
    assert_eq!(value, None);
    let mut commits = Vec::new();
    for value in [b"1", b"2"] {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.reads = vec![check.clone()];
        commit.writes = vec![write("n", value)];
        commits.push(commit);
    }
    let second = commits.pop().expect("two");
    done(&store, commits.remove(0)).await;
    let refused = store.commit_run(second.clone()).await.expect("no error");
    assert!(matches!(refused, RunCommitResult::Conflict { .. }), "{refused:?}");
    assert_eq!(read(&store, &name("a"), "n").await.0, Some(Bytes::from_static(b"1")));
    // Repeated with the current version, it commits.
    let (_, check) = read(&store, &name("a"), "n").await;
    done(&store, RunCommit { reads: vec![check], ..second }).await;
    assert_eq!(read(&store, &name("a"), "n").await.0, Some(Bytes::from_static(b"2")));
}

pub(crate) async fn a_value_that_is_visible_early_is_valid_for_the_next_commit(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let newest = async || store.newest_state(&name("a"), "n").await.expect("a read");
    let mut answers = Vec::new();
    for n in 0..30_u8 {
        let found = newest().await;
        assert_eq!(found.value.as_deref(), (n > 0).then_some([n].as_slice()));
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.reads = vec![ReadCheck::State { key: "n".into(), version: found.version }];
        commit.writes = vec![write("n", &[n + 1])];
        let (turn, handed_on) = tokio::sync::oneshot::channel::<()>();
        let store = Arc::clone(&store);
        answers.push(tokio::spawn(async move { store.commit_run_guarded(commit, Box::new(turn)).await }));
        assert!(handed_on.await.is_err(), "the turn is dropped");
    }
    for answer in answers {
        assert!(matches!(answer.await.expect("no panic"), Ok(RunCommitResult::Done(_))));
    }
    assert_eq!(store.state(&name("a"), "n").await.expect("a read"), newest().await);
    // The turn is also handed on if the commit is refused.
    let run = claimed_run(&store, &owner, "a").await;
    let stale = ReadCheck::State { key: "n".into(), version: Version::ABSENT };
    let conflict = RunCommit { reads: vec![stale], ..success(&owner, &run) };
    let other = Owner { node: "other".parse().expect("a node"), ..owner.clone() };
    let elsewhere = RunCommit { owner: other, ..success(&owner, &run) };
    for (commit, key) in [(conflict, Some("n")), (elsewhere, None)] {
        let (turn, handed_on) = tokio::sync::oneshot::channel::<()>();
        let answer = store.commit_run_guarded(commit, Box::new(turn)).await;
        assert!(handed_on.await.is_err());
        match (answer, key) {
            (Ok(RunCommitResult::Conflict { read: 0, key: found, .. }), Some(_)) => assert_eq!(found.as_deref(), key),
            (Err(StoreError::StaleEpoch { .. }), None) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn a_content_version_is_valid_while_the_key_has_that_value(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let long = vec![7; 100_000];
    let values: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"1"), Some(b"2"), Some(&long)];
    for current in values {
        let run = claimed_run(&store, &owner, "a").await;
        let write = StateWrite { key: "n".into(), value: current.map(Bytes::copy_from_slice) };
        done(&store, RunCommit { writes: vec![write], ..success(&owner, &run) }).await;
        for seen in values {
            let run = claimed_run(&store, &owner, "a").await;
            let read = ReadCheck::State { key: "n".into(), version: Version::of_content(seen) };
            let commit = RunCommit { reads: vec![read], ..success(&owner, &run) };
            // A value in a payload file is never read before its commit.
            let valid = seen == current && current != Some(&long);
            match store.commit_run(commit).await.expect("no error") {
                RunCommitResult::Done(_) => assert!(valid, "{seen:?} is not {current:?}"),
                RunCommitResult::Conflict { key, .. } => {
                    assert!(!valid && key.as_deref() == Some("n"), "{seen:?} is {current:?}");
                    done(&store, success(&owner, &run)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) async fn a_scan_conflicts_with_a_write_to_its_range(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.writes = (0..5).map(|i| write(&format!("k{i}"), b"v")).chain([write("other", b"v")]).collect();
    done(&store, commit).await;

    let request = ScanRequest { prefix: "k".into(), after: Some("k0".into()), limit: 3 };
    let page = store.scan_state(&name("a"), &request).await.expect("a scan");
    let keys: Vec<_> = page.entries.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(keys, ["k1", "k2", "k3"]);
    assert!(page.more);
    let seen = page.entries.iter().map(|(key, _, version)| (key.clone(), *version)).collect();
    let check = ReadCheck::Scan { request, seen, more: true };

    for (between, conflict) in [("other", false), ("k4", false), ("k0", false), ("k11", true)] {
        let scanner = claimed_run(&store, &owner, "a").await;
        let writer = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &writer);
        commit.writes = vec![write(between, b"w")];
        done(&store, commit).await;
        let mut commit = success(&owner, &scanner);
        commit.reads = vec![check.clone()];
        let answer = store.commit_run(commit).await.expect("no error");
        assert_eq!(matches!(answer, RunCommitResult::Conflict { .. }), conflict, "after a write to {between}");
    }
}

pub(crate) async fn a_refused_transaction_leaves_nothing(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let before = store.run(run.id).await;
    let (_, feed) = store.feed_range().await.expect("a range");
    let mut commit = success(&owner, &run);
    commit.reads = vec![ReadCheck::State { key: "n".into(), version: Version(999) }];
    commit.writes = vec![write("n", b"1")];
    commit.postings = vec![crate::ledger::posting(&run, "e", 5)];
    assert!(matches!(store.commit_run(commit).await, Ok(RunCommitResult::Conflict { .. })));
    assert_eq!(store.run(run.id).await, before);
    assert_eq!(store.output(run.id).await, Ok(None));
    assert_eq!(store.state(&name("a"), "n").await.expect("a read").version, Version::ABSENT);
    assert_eq!(store.stream_totals().await, Ok(vec![]));
    assert_eq!(store.feed_range().await.expect("a range").1, feed);
}

pub(crate) async fn a_stale_epoch_is_refused(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let dead = owner(&store).await;
    let run = claimed_run(&store, &dead, "a").await;
    let alive = owner(&store).await;
    store.take_over(&alive, RecoveryFilter::All, 1, NOON).await.expect("a takeover");
    let mut commit = success(&dead, &run);
    commit.writes = vec![write("n", b"1")];
    assert_eq!(store.commit_run(commit).await, Err(StoreError::StaleEpoch { run: run.id }));
    assert_eq!(
        store.save_progress(&dead, &run, vec![]).await,
        Err(StoreError::StaleEpoch { run: run.id }),
        "nor is anything saved"
    );
    assert_eq!(store.state(&name("a"), "n").await.expect("a read").version, Version::ABSENT);
}

pub(crate) async fn a_fresh_run_loses_its_key_to_the_first(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let keyed = || NewRun { key: Some("k".into()), ..new_run("a") };
    let (first, second) = (keyed(), keyed());
    let mut commit = fresh(&owner, &first);
    commit.writes = vec![write("n", b"first")];
    done(&store, commit).await;
    let mut commit = fresh(&owner, &second);
    commit.writes = vec![write("n", b"second")];
    match store.commit_run(commit.clone()).await.expect("no error") {
        RunCommitResult::KeyTaken(winner) => assert_eq!(winner.id, first.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.run(second.id).await, Ok(None));
    assert_eq!(read(&store, &name("a"), "n").await.0, Some(Bytes::from_static(b"first")));
    commit.begins = CommitStart::Fresh { input: Bytes::from_static(b"[1]") };
    assert_eq!(store.commit_run(commit).await, Err(StoreError::KeyMismatch { run: first.id }));
    assert_eq!(store.input(first.id).await, Ok(Some(first.input)));
    assert_eq!(store.output(first.id).await, Ok(Some(Bytes::from_static(b"null"))));
}

pub(crate) async fn a_watermark_never_moves_back(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    for (mark, expected) in [(5, 5), (9, 9), (3, 9)] {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.watermark = Some(later(mark));
        done(&store, commit).await;
        assert_eq!(store.watermark(&name("a")).await, Ok(Some(later(expected))));
    }
}
