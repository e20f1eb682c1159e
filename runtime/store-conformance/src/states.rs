//! Claims about manual edits of state.

use std::sync::Arc;

use bytes::Bytes;

use crate::fixture::{NOON, claimed_run, deploy, done, later, name, owner, success};
use tidemill_store::records::{FeedEvent, ReadCheck, RunCommitResult, StateEdit, StateEditResult, StateWrite, Version};
use tidemill_store::{Store, StoreError};

fn edit(key: &str, value: Option<&'static str>) -> StateEdit {
    StateEdit {
        deployment: name("a"),
        key: key.into(),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        expected: None,
        now: later(5),
    }
}

pub(crate) async fn an_edit_is_committed_and_on_the_feed(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let set = store.edit_state(edit("n", Some("1"))).await.expect("an edit");
    assert!(!set.existed && set.version != Version::ABSENT);
    let read = store.state(&name("a"), "n").await.expect("a read");
    assert_eq!((read.value.as_deref(), read.version), (Some(&b"1"[..]), set.version));
    let long = Bytes::from(vec![7; 300_000]);
    let replaced = store.edit_state(StateEdit { value: Some(long.clone()), ..edit("n", None) }).await.expect("an edit");
    assert!(replaced.existed && replaced.version > set.version);
    assert_eq!(store.state(&name("a"), "n").await.expect("a read").value, Some(long));
    let deleted = store.edit_state(edit("n", None)).await;
    assert_eq!(deleted, Ok(StateEditResult { version: Version::ABSENT, existed: true }));
    let feed = store.feed(0, 100).await.expect("a feed");
    let changes: Vec<_> = feed
        .iter()
        .filter_map(|entry| match &entry.event {
            FeedEvent::State { deployment, key, change, bytes, before, after } => {
                assert_eq!((deployment, key.as_str(), entry.at), (&name("a"), "n", later(5)));
                Some((change.as_str(), *bytes, *before, *after))
            }
            _ => None,
        })
        .collect();
    let (first, second) = (set.version.0, replaced.version.0);
    assert_eq!(changes, [("set", 1, 0, first), ("set", 300_000, first, second), ("deleted", 0, second, 0)]);
}

pub(crate) async fn an_edit_of_an_absent_deployment_is_refused(store: Arc<dyn Store>) {
    let refused = store.edit_state(edit("n", Some("1"))).await;
    assert!(matches!(refused, Err(StoreError::NotFound { kind: "deployment", .. })), "{refused:?}");
    deploy(&store, "a").await;
    let refused = store.edit_state(edit("n", None)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { kind: "state key", .. })), "{refused:?}");
    let version = store.edit_state(edit("n", Some("1"))).await.expect("an edit").version;
    for wrong in [Version::ABSENT, Version(version.0 + 1)] {
        let refused = store.edit_state(StateEdit { expected: Some(wrong), ..edit("n", Some("2")) }).await;
        assert_eq!(refused, Err(StoreError::ValueChanged { present: version }));
    }
    assert_eq!(store.state(&name("a"), "n").await.expect("a read").value.as_deref(), Some(&b"1"[..]));
    store.edit_state(StateEdit { expected: Some(version), ..edit("n", None) }).await.expect("the present version");
    let fresh = StateEdit { expected: Some(Version::ABSENT), ..edit("n", Some("3")) };
    store.edit_state(fresh).await.expect("there is none");
}

pub(crate) async fn a_run_that_read_an_edited_value_conflicts(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    for value in [Some("7"), None] {
        let version = store.edit_state(edit("n", Some("1"))).await.expect("an edit").version;
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.now = NOON;
        commit.reads = vec![ReadCheck::State { key: "n".into(), version }];
        commit.writes = vec![StateWrite { key: "n".into(), value: Some(Bytes::from_static(b"2")) }];
        store.edit_state(edit("n", value)).await.expect("an edit");
        let refused = store.commit_run(commit.clone()).await.expect("an answer");
        assert!(matches!(&refused, RunCommitResult::Conflict { read: 0, .. }), "{refused:?}");
        commit.reads = vec![];
        done(&store, commit).await;
    }
}
