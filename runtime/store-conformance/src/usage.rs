//! Claims about the usage of deployments: counted with each commit and reduced by retention; and
//! about the bounds of runs that start runs.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::spawn::{DEPTH, OPEN_CHILDREN};
use tidemill_core::{Code, Timestamp};

use crate::fixture::{
    NOON, a_and_b, child, claim_one, claimed_run, deploy, done, later, name, new_run, owner, request, success,
};
use crate::topics::events::{event, publish, topic};
use tidemill_store::records::{
    AdmissionTerms, LogLevel, LogLine, NewRun, NewSignal, PageRequest, RetentionPolicy, RunCommit, StateWrite, Usage,
};
use tidemill_store::{Store, StoreError};

async fn usage(store: &Arc<dyn Store>, of: &str) -> Usage {
    let all = store.usage().await.expect("a read");
    all.into_iter().find(|(deployment, _)| *deployment == name(of)).map(|(_, usage)| usage).unwrap_or_default()
}

fn line(message: &str) -> LogLine {
    LogLine { seq: 0, at: NOON, attempt: 1, level: LogLevel::Info, message: message.to_owned(), fields: vec![] }
}

pub(crate) async fn removed_records_no_longer_count(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let input = Bytes::from(vec![b'1'; 10_000]);
    request(&store, NewRun { input, ..new_run("a") }).await;
    let run = claim_one(&store, &owner, "a").await.run;
    let signal = NewSignal { to: run.id, name: "s".into(), payload: Bytes::from_static(b"12345"), key: None };
    store.signal(signal, NOON).await.expect("a signal");
    let mut commit = success(&owner, &run);
    let write = |value: Option<&'static [u8]>| StateWrite { key: "key".into(), value: value.map(Bytes::from_static) };
    commit.writes = vec![write(Some(b"value"))];
    commit.events = vec![event("x", "1"), event("y", "22")];
    commit.logs = vec![line("hello")];
    commit.starts = vec![child(&run, "b")];
    done(&store, commit).await;

    let kept = usage(&store, "a").await;
    assert_eq!((kept.runs, kept.events, kept.topics), (1, 2, 2), "{kept:?}");
    assert!((8..40).contains(&kept.state_bytes) && (5..60).contains(&kept.log_bytes), "{kept:?}");
    assert!((10_004..10_400).contains(&kept.payload_bytes), "{kept:?}");
    assert_eq!(usage(&store, "b").await.runs, 1);
    publish(&store, "operators", "1", NOON).await;
    assert_eq!(usage(&store, "a").await, kept, "an operator's events count for no deployment");

    let mut again = RunCommit::of(owner.clone(), claimed_run(&store, &owner, "a").await, later(1));
    again.writes = vec![write(None)];
    done(&store, again.clone()).await;
    assert_eq!(usage(&store, "a").await.state_bytes, 0);
    done(&store, success(&owner, &again.run)).await;
    for topic in [topic("x"), topic("y")] {
        store.delete_topic(&topic, later(2)).await.expect("a deletion");
    }
    let policy = RetentionPolicy { ended_before: Some(later(1_000)), ..RetentionPolicy::default() };
    store.expire(policy, 100).await.expect("retention");
    assert_eq!(usage(&store, "a").await, Usage::default());
}

pub(crate) async fn a_deleted_deployment_keeps_no_state(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let mut commit = success(&owner, &claimed_run(&store, &owner, "a").await);
    let write = |n: u32| StateWrite { key: n.to_string(), value: Some(Bytes::from(vec![b'1'; 9_000])) };
    commit.writes = (0..3).map(write).collect();
    done(&store, commit).await;
    assert!(usage(&store, "a").await.state_bytes > 27_000);
    store.delete_deployment(&name("a"), NOON).await.expect("a deletion");
    let kept = usage(&store, "a").await;
    assert_eq!((kept.state_bytes, kept.runs), (0, 1));
}

pub(crate) async fn a_deployment_creates_its_share_of_topics_and_others_theirs(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let share = store.quotas().topics;
    let begin = |of: &'static str, from: u64, count: u64| {
        let (store, owner) = (Arc::clone(&store), owner.clone());
        async move {
            let mut commit = success(&owner, &claimed_run(&store, &owner, of).await);
            commit.events = (from..from + count).map(|n| event(&format!("{of}.{n}"), "1")).collect();
            store.commit_run(commit).await
        }
    };
    begin("a", 0, share - 1).await.expect("within the share");
    assert_eq!(store.topic_room(&name("a")).await, Ok(1));
    let refused = begin("a", share, 2).await;
    assert_eq!(refused.map_err(|error| error.code()).map(|_| ()), Err(Code::LimitTopics), "its own count too");
    assert_eq!(store.topic_room(&name("a")).await, Ok(1), "nothing of it took hold");
    begin("a", share, 1).await.expect("the last one");
    begin("a", 0, 5).await.expect("topics that are there");
    begin("b", 0, 1).await.expect("another deployment");
    publish(&store, "operators", "1", NOON).await;
    store.delete_topic(&topic("a.7"), NOON).await.expect("a deletion");
    assert_eq!(store.topic_room(&name("a")).await, Ok(1));
    assert_eq!(store.topic_count().await, Ok(share + 1));
}

pub(crate) async fn a_deleted_topic_is_gone_and_restarts_empty(store: Arc<dyn Store>) {
    for n in 0..600_u64 {
        publish(&store, "x", &n.to_string(), later(n)).await;
    }
    let deleted = store.delete_topic(&topic("x"), later(1_000)).await.expect("a deletion");
    assert_eq!((deleted.events, deleted.more), (600, false));
    assert_eq!((store.topic(&topic("x")).await, store.topic_count().await), (Ok(None), Ok(0)));
    let again = store.delete_topic(&topic("x"), NOON).await;
    assert_eq!(again.map_err(|error| error.code()), Err(Code::TopicNotFound));
    publish(&store, "x", "again", Timestamp::from_millis(5)).await;
    assert_eq!(store.topic(&topic("x")).await.expect("a read").expect("a topic").events, 1);
}

pub(crate) async fn runs_nest_no_deeper_than_the_maximum(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let mut run = claimed_run(&store, &owner, "b").await;
    for depth in 1..DEPTH {
        assert_eq!(store.child_room(run.id).await, Ok(Some(OPEN_CHILDREN)), "at depth {depth}");
        let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
        commit.starts = vec![child(&run, "b")];
        done(&store, commit).await;
        run = claim_one(&store, &owner, "b").await.run;
    }
    assert_eq!(store.child_room(run.id).await, Ok(None));
    let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
    commit.starts = vec![child(&run, "b")];
    let refused = store.commit_run(commit).await;
    assert_eq!(refused.map_err(|error| error.code()).map(|_| ()), Err(Code::LimitChildren));
}

pub(crate) async fn the_open_children_of_a_run_are_bounded(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let start = |count: u32, detached: bool| {
        let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
        commit.starts = (0..count).map(|_| NewRun { detached, ..child(&run, "b") }).collect();
        store.commit_run(commit)
    };
    start(OPEN_CHILDREN - 1, false).await.expect("within the bound");
    assert_eq!(store.child_room(run.id).await, Ok(Some(1)));
    let refused = start(2, false).await;
    assert_eq!(refused.map_err(|error| error.code()).map(|_| ()), Err(Code::LimitChildren));
    start(1, false).await.expect("the last one");
    start(2, true).await.expect("detached ones");
    let children = store.children(run.id, PageRequest::first(1)).await.expect("a list").items;
    store.request_cancel(children[0].id, true, NOON).await.expect("a cancellation");
    assert_eq!(store.child_room(run.id).await, Ok(Some(1)));
}

pub(crate) async fn a_queue_counts_children(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let start = |count: u32| {
        let terms = AdmissionTerms { queue_max: 3, ..AdmissionTerms::default() };
        let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
        commit.starts = (0..count).map(|_| NewRun { terms: terms.clone(), ..child(&run, "b") }).collect();
        store.commit_run(commit)
    };
    assert_eq!(start(4).await.map(|_| ()), Err(StoreError::QueueFull { queued: 3 }));
    assert_eq!(store.queue_length(&name("b")).await, Ok(0), "nothing of it took hold");
    start(3).await.expect("within the bound");
    assert_eq!(start(1).await.map(|_| ()), Err(StoreError::QueueFull { queued: 3 }));
}
