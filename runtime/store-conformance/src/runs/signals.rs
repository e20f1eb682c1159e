//! Claims about signals: they are delivered in order and once, and an inbox is bounded.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::run::{Wait, WaitCondition};

use crate::fixture::{NOON, claim_one, claimed_run, deploy, done, later, owner, success, suspended};
use tidemill_store::records::{
    INBOX_BYTES, INBOX_SIGNALS, NewSignal, PageRequest, ReadCheck, RunCommit, RunCommitResult, SIGNAL_BYTES,
    SignalReceipt, UndeliveredSignal, Version,
};
use tidemill_store::{Store, StoreError};

fn signal(to: RunId, name: &str, payload: &str, key: Option<&str>) -> NewSignal {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    NewSignal { to, name: name.into(), payload, key: key.map(str::to_owned) }
}

async fn first(store: &Arc<dyn Store>, run: RunId, name: &str, after: Option<u64>) -> Option<(u64, String)> {
    let found = store.inbox(run, name, after).await.expect("a read")?;
    Some((found.place, String::from_utf8(found.payload.to_vec()).expect("text")))
}

pub(crate) async fn signals_are_kept_in_order_of_arrival_until_they_are_taken(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    for (name, payload) in [("x", "1"), ("y", "2"), ("x", "3")] {
        store.signal(signal(run.id, name, payload, None), later(5)).await.expect("a signal");
    }
    let (place, payload) = first(&store, run.id, "x", None).await.expect("a signal");
    assert_eq!(payload, "1");
    let (third, payload) = first(&store, run.id, "x", Some(place)).await.expect("a signal");
    assert_eq!(payload, "3");
    assert_eq!(first(&store, run.id, "x", Some(third)).await, None);
    assert_eq!(first(&store, run.id, "z", None).await, None);
    assert_eq!(store.inbox(run.id, "y", None).await.expect("a read").expect("a signal").at, later(5));
    let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
    commit.taken = vec![place];
    done(&store, commit).await;
    assert_eq!(first(&store, run.id, "x", None).await, Some((third, "3".into())));
    assert_eq!(first(&store, run.id, "y", None).await.expect("a signal").1, "2");
}

pub(crate) async fn a_signal_with_the_same_key_is_delivered_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (run, sender) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    let keyed = signal(run.id, "x", "1", Some("k"));
    assert!(matches!(store.signal(keyed.clone(), NOON).await, Ok(SignalReceipt::Accepted(_))));
    assert_eq!(store.signal(keyed.clone(), NOON).await, Ok(SignalReceipt::Duplicate));
    for other in [signal(run.id, "y", "1", Some("k")), signal(run.id, "x", "2", Some("k"))] {
        assert_eq!(store.signal(other, NOON).await, Err(StoreError::SignalKeyMismatch { run: run.id }));
    }
    // The keys of a sending run and those of a caller are separate.
    for _ in 0..2 {
        let mut commit = RunCommit::of(owner.clone(), sender.clone(), NOON);
        commit.signals = vec![keyed.clone()];
        done(&store, commit).await;
    }
    let (place, _) = first(&store, run.id, "x", None).await.expect("the caller's");
    let (place, _) = first(&store, run.id, "x", Some(place)).await.expect("the sender's");
    assert_eq!(first(&store, run.id, "x", Some(place)).await, None);
    let mut commit = success(&owner, &run);
    commit.taken = vec![0, 1];
    done(&store, commit).await;
    assert_eq!(
        store.signal(keyed, NOON).await,
        Ok(SignalReceipt::Duplicate),
        "it had come, though the run has ended since"
    );
    let other = store.signal(signal(run.id, "y", "1", Some("k")), NOON).await;
    assert_eq!(other, Err(StoreError::SignalKeyMismatch { run: run.id }));
}

pub(crate) async fn an_ended_run_receives_no_signal(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (run, sender) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    done(&store, success(&owner, &run)).await;
    assert_eq!(store.signal(signal(run.id, "x", "1", None), NOON).await, Ok(SignalReceipt::Ended));
    let unknown = RunId::new(NOON, u128::MAX);
    let missing = store.signal(signal(unknown, "x", "1", None), NOON).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    let mut commit = success(&owner, &sender);
    commit.signals = vec![signal(run.id, "x", "1", Some("1")), signal(unknown, "y", "1", Some("2"))];
    let undelivered = done(&store, commit).await.undelivered;
    let expected = [(run.id, "x"), (unknown, "y")].map(|(to, name)| UndeliveredSignal { to, name: name.into() });
    assert_eq!(undelivered, expected);
    assert_eq!(first(&store, run.id, "x", None).await, None);
}

pub(crate) async fn an_inbox_has_bounds(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (many, large) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    let full = |refused| matches!(refused, Err(StoreError::InboxFull { .. }));
    let sends = (0..INBOX_SIGNALS).map(|_| store.signal(signal(many.id, "x", "1", None), NOON));
    for sent in futures_util::future::join_all(sends).await {
        assert!(matches!(sent, Ok(SignalReceipt::Accepted(_))));
    }
    assert!(full(store.signal(signal(many.id, "x", "1", None), NOON).await));
    let mut commit = RunCommit::of(owner.clone(), many.clone(), NOON);
    commit.taken = vec![3];
    done(&store, commit).await;
    assert!(!full(store.signal(signal(many.id, "x", "1", None), NOON).await), "taking one makes room");

    let payload = "x".repeat(SIGNAL_BYTES);
    let fit = INBOX_BYTES / (SIGNAL_BYTES as u64 + 1);
    for _ in 0..fit {
        assert!(!full(store.signal(signal(large.id, "x", &payload, None), NOON).await));
    }
    assert!(full(store.signal(signal(large.id, "x", &payload, None), NOON).await));
    for wrong in [signal(large.id, "", "1", None), signal(large.id, &"x".repeat(256), "1", None)] {
        assert!(full(store.signal(wrong, NOON).await));
    }
    let over = "x".repeat(SIGNAL_BYTES + 1);
    assert!(full(store.signal(signal(large.id, "x", &over, None), NOON).await));
    // A run that sends a signal gets the same refusal, for its whole transaction.
    let sender = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &sender);
    commit.signals = vec![signal(large.id, "x", &payload, Some("1"))];
    assert!(full(store.commit_run(commit).await.map(|_| SignalReceipt::Ended)));
    assert_eq!(store.run(sender.id).await, Ok(Some(sender)));
}

pub(crate) async fn a_refused_transaction_sends_and_takes_no_signal(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (run, sender) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    store.signal(signal(sender.id, "x", "1", None), NOON).await.expect("a signal");
    let mut commit = RunCommit::of(owner.clone(), sender.clone(), NOON);
    commit.signals = vec![signal(run.id, "x", "1", Some("1"))];
    commit.taken = vec![0];
    commit.reads = vec![ReadCheck::State { key: "n".into(), version: Version(999) }];
    let refused = store.commit_run(commit).await.expect("no error");
    assert!(matches!(refused, RunCommitResult::Conflict { read: 0, .. }), "{refused:?}");
    assert_eq!(first(&store, run.id, "x", None).await, None);
    assert!(first(&store, sender.id, "x", None).await.is_some());
}

pub(crate) async fn an_awaited_signal_finds_room_in_a_full_inbox(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let sends = (0..INBOX_SIGNALS).map(|_| store.signal(signal(run.id, "noise", "1", None), NOON));
    for sent in futures_util::future::join_all(sends).await {
        assert!(matches!(sent, Ok(SignalReceipt::Accepted(_))));
    }
    let full = |refused| matches!(refused, Err(StoreError::InboxFull { .. }));
    assert!(full(store.signal(signal(run.id, "paid", "1", None), NOON).await), "nothing waits for it yet");
    let any_of = vec![WaitCondition::Signal("paid".into()), WaitCondition::Signal("late".into())];
    done(&store, suspended(&owner, &run, Wait { any_of, ..Wait::default() })).await;
    assert!(full(store.signal(signal(run.id, "noise", "1", None), NOON).await));
    assert!(matches!(store.signal(signal(run.id, "paid", "2", None), NOON).await, Ok(SignalReceipt::Accepted(_))));
    assert!(full(store.signal(signal(run.id, "paid", "3", None), NOON).await), "one of them is enough to go on");
    assert_eq!(first(&store, run.id, "paid", None).await.map(|(_, payload)| payload), Some("2".to_owned()));
    assert_eq!(claim_one(&store, &owner, "a").await.run.id, run.id, "it was woken");
}

pub(crate) async fn waiting_signals_are_listed_and_can_be_dropped(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    for (name, payload) in [("x", "1"), ("y", "2"), ("x", "3")] {
        store.signal(signal(run.id, name, payload, None), later(5)).await.expect("a signal");
    }
    let listed = async || -> Vec<(u64, String, Bytes)> {
        let (mut found, mut page) = (Vec::new(), PageRequest::first(2));
        loop {
            let part = store.signals(run.id, page).await.expect("a page");
            found.extend(part.items.into_iter().map(|signal| (signal.place, signal.name, signal.payload)));
            match part.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: 2 },
                None => return found,
            }
        }
    };
    let of =
        |place, name: &str, payload: &'static str| (place, name.to_owned(), Bytes::from_static(payload.as_bytes()));
    assert_eq!(listed().await, [of(0, "x", "1"), of(1, "y", "2"), of(2, "x", "3")]);
    assert_eq!((store.drop_signal(run.id, 0).await, store.drop_signal(run.id, 0).await), (Ok(true), Ok(false)));
    assert_eq!(listed().await, [of(1, "y", "2"), of(2, "x", "3")]);
    assert_eq!(first(&store, run.id, "x", None).await.map(|(place, _)| place), Some(2));
    let unknown = RunId::new(NOON, u128::MAX);
    assert!(matches!(store.drop_signal(unknown, 0).await, Err(StoreError::NotFound { .. })));
}
