//! Claims about topics: events are kept in order and once, found by time, and removed by policy.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::{EventId, Timestamp, Topic};

use crate::fixture::{NOON, claimed_run, deploy, done, later, name, owner, success};
use tidemill_store::records::{
    Event, EventPolicy, ExpiredEvents, NewEvent, NewPublication, PageRequest, PublishOutcome, Publisher, ReadCheck,
    RunCommit, RunCommitResult, Version,
};
use tidemill_store::{Store, StoreError};

pub(crate) fn topic(text: &str) -> Topic {
    text.parse().expect("a topic")
}

pub(crate) fn event(to: &str, payload: &str) -> NewEvent {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = EventId::new(NOON, NEXT.fetch_add(1, Ordering::Relaxed).into());
    NewEvent { id, topic: topic(to), payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

/// Publishes an event from outside a run.
pub(crate) async fn publish(store: &Arc<dyn Store>, to: &str, payload: &str, at: Timestamp) -> EventId {
    let event = event(to, payload);
    let id = event.id;
    assert_eq!(store.publish(NewPublication { event, key: None }, at).await, Ok(PublishOutcome::Accepted));
    id
}

pub(crate) fn payloads(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| std::str::from_utf8(&event.payload).expect("text")).collect()
}

async fn all(store: &Arc<dyn Store>, of: &str) -> Vec<Event> {
    store.topic_events(&topic(of), None, PageRequest::first(1_000)).await.expect("a list").items
}

pub(crate) async fn events_are_ordered_and_committed_with_their_transaction(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = RunCommit::of(owner.clone(), run.clone(), later(5));
    commit.events = vec![event("x", "1"), event("y", "2"), event("x", "3")];
    assert_eq!(done(&store, commit).await.published, [topic("x"), topic("y")]);
    publish(&store, "x", "4", later(7)).await;
    // Times within a topic never decrease.
    publish(&store, "x", "5", later(6)).await;
    let found = all(&store, "x").await;
    assert_eq!(payloads(&found), ["1", "3", "4", "5"]);
    assert!(found.windows(2).all(|pair| pair[0].position + 1 == pair[1].position));
    assert_eq!(found.iter().map(|event| event.at).collect::<Vec<_>>(), [later(5), later(5), later(7), later(7)]);
    assert_eq!(found[0].publisher, Publisher::Run { deployment: name("a"), run: run.id });
    assert_eq!(found[2].publisher, Publisher::Operator);
    assert_eq!(payloads(&store.events(&topic("x"), found[1].position, 2).await.expect("a read")), ["3", "4"]);
    let summary = store.topic(&topic("x")).await.expect("a read").expect("a topic");
    assert_eq!((summary.events, summary.first_at, summary.last_at), (4, Some(later(5)), later(7)));
    let names = store.topics(PageRequest::first(9)).await.expect("a list").items;
    assert_eq!(names.iter().map(|one| one.topic.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(store.topic_count().await, Ok(2));

    let mut refused = success(&owner, &run);
    refused.events = vec![event("x", "6"), event("z", "7")];
    refused.reads = vec![ReadCheck::State { key: "n".into(), version: Version(999) }];
    let refused = store.commit_run(refused).await.expect("no error");
    assert!(matches!(refused, RunCommitResult::Conflict { .. }), "{refused:?}");
    assert_eq!((all(&store, "x").await.len(), store.topic(&topic("z")).await), (4, Ok(None)));
}

pub(crate) async fn a_key_publishes_once(store: Arc<dyn Store>) {
    let keyed = |payload, key: &str| NewPublication { event: event("x", payload), key: Some(key.to_owned()) };
    let first = keyed("1", "k");
    let id = first.event.id;
    assert_eq!(store.publish(first, NOON).await, Ok(PublishOutcome::Accepted));
    assert_eq!(store.publish(keyed("1", "k"), later(5)).await, Ok(PublishOutcome::Duplicate(id)));
    assert_eq!(store.publish(keyed("2", "k"), later(5)).await, Err(StoreError::EventKeyMismatch { event: id }));
    let elsewhere = NewPublication { event: event("y", "2"), key: Some("k".to_owned()) };
    assert_eq!(store.publish(elsewhere, NOON).await, Ok(PublishOutcome::Accepted), "each topic has keys of its own");
    assert_eq!(store.publish(keyed("2", "l"), NOON).await, Ok(PublishOutcome::Accepted));
    let tomorrow = later(24 * 60 * 60 * 1000);
    store.trim(10, tomorrow).await.expect("a trim");
    assert_eq!(store.publish(keyed("3", "k"), tomorrow).await, Ok(PublishOutcome::Accepted));
    assert!(store.publish(keyed("3", &"k".repeat(513)), tomorrow).await.is_err());
    assert_eq!(payloads(&all(&store, "x").await), ["1", "2", "3"]);
}

pub(crate) async fn a_page_starts_at_a_time_and_pages_are_contiguous(store: Arc<dyn Store>) {
    for n in 0..20_u64 {
        publish(&store, "x", &n.to_string(), later(n / 2 * 10)).await;
        publish(&store, "x.y", "0", later(n)).await;
    }
    for (since, first) in [(0, 0), (1, 2), (10, 2), (11, 4), (90, 18), (91, 20), (1_000, 20)] {
        let found =
            store.topic_events(&topic("x"), Some(later(since)), PageRequest::first(100)).await.expect("a list").items;
        let expected: Vec<String> = (first..20).map(|n| n.to_string()).collect();
        assert_eq!(payloads(&found), expected, "since {since}");
    }
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(3));
    loop {
        let found = store.topic_events(&topic("x"), Some(later(10)), page).await.expect("a list");
        seen.extend(payloads(&found.items).into_iter().map(str::to_owned));
        match found.next {
            Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: 3 },
            None => break,
        }
    }
    assert_eq!(seen, (2..20).map(|n| n.to_string()).collect::<Vec<_>>());
    let none = store.topic_events(&topic("z"), None, PageRequest::first(3)).await.expect("a list");
    assert!(none.items.is_empty() && none.next.is_none());
}

pub(crate) async fn retention_removes_events_and_a_topic_with_its_last_event(store: Arc<dyn Store>) {
    for n in 0..10_u64 {
        publish(&store, "x", &n.to_string(), later(n)).await;
        publish(&store, "y", &n.to_string(), later(100 + n)).await;
    }
    let last = all(&store, "x").await[9].position;
    let expire = |before: Option<u64>, keep, limit| {
        let policy = EventPolicy { published_before: before.map(later), keep };
        let store = Arc::clone(&store);
        async move { store.expire_events(policy, limit, later(200)).await.expect("retention") }
    };
    assert_eq!(expire(None, None, 9).await, ExpiredEvents::default());
    assert_eq!(expire(Some(3), None, 9).await, ExpiredEvents { events: 3, lost: 0, more: false });
    assert_eq!(expire(Some(3), Some(6), 9).await, ExpiredEvents { events: 5, lost: 0, more: false });
    assert_eq!(payloads(&all(&store, "x").await), ["4", "5", "6", "7", "8", "9"]);
    assert_eq!(expire(Some(50), None, 4).await, ExpiredEvents { events: 4, lost: 0, more: true });
    assert_eq!(expire(Some(50), None, 4).await, ExpiredEvents { events: 2, lost: 0, more: false });
    assert_eq!(store.topic(&topic("x")).await, Ok(None));
    assert_eq!(payloads(&all(&store, "y").await), ["4", "5", "6", "7", "8", "9"]);
    publish(&store, "x", "again", later(300)).await;
    assert!(all(&store, "x").await[0].position > last, "places are never used again");
}

pub(crate) async fn a_long_payload_is_read_back(store: Arc<dyn Store>) {
    let long = format!("\"{}\"", "x".repeat(20_000));
    publish(&store, "x", &long, NOON).await;
    publish(&store, "x", "1", NOON).await;
    publish(&store, "y", &long, NOON).await;
    assert_eq!(payloads(&all(&store, "x").await), [long.as_str(), "1"]);
    let over = event("x", &"1".repeat(70_000));
    assert!(store.publish(NewPublication { event: over, key: None }, NOON).await.is_err());
    let policy = EventPolicy { published_before: None, keep: Some(1) };
    store.expire_events(policy, 9, NOON).await.expect("retention");
    assert_eq!(payloads(&all(&store, "y").await), [long.as_str()], "another event has the same payload");
}
