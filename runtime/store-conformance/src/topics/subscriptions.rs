//! Claims about subscriptions: each event is delivered once and in order from the start position,
//! and a lost event is reported.

use std::sync::Arc;

use tidemill_core::run::{Trigger, TriggerKind};
use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{Revision, SubscriptionName, Timestamp};

use crate::fixture::{NOON, a_and_b, component, digest, later, name, new_run, version};
use crate::topics::events::{payloads, publish, topic};
use tidemill_store::Store;
use tidemill_store::records::{
    DeliveryCommit, Event, EventPolicy, FeedEvent, NewRun, Operation, OperationState, PageRequest, Pause,
    PutDeployment, ReplayCommit, RunFilter, Subscription, SubscriptionChange, SubscriptionLag, Task,
};

fn named(text: &str) -> SubscriptionName {
    text.parse().expect("a name")
}

fn change(to: &str, begin: SubscriptionStart) -> SubscriptionChange {
    SubscriptionChange { name: named("s"), topic: to.parse().expect("a pattern"), begin }
}

/// Deploys `a` with these subscriptions; a different number makes a different manifest.
async fn subscribe(store: &Arc<dyn Store>, number: u32, subscriptions: Vec<SubscriptionChange>) -> Revision {
    store.put_version(version("1.0.0", b"component"), component(b"component")).await.expect("a version");
    let put = PutDeployment {
        name: name("a"),
        expected: None,
        component: digest(),
        manifest: format!("{{\"n\":{number}}}").into(),
        schedules: vec![],
        subscriptions,
        budgets: vec![],
        incident: None,
        now: NOON,
    };
    store.put_deployment(put).await.expect("a deployment").revision
}

async fn lag(store: &Arc<dyn Store>, of: &str) -> Option<SubscriptionLag> {
    store.subscription_lag(&name("a"), &named("s"), &topic(of)).await.expect("a read")
}

async fn waiting(store: &Arc<dyn Store>, of: &str) -> Vec<Event> {
    let Some(lag) = lag(store, of).await else { return Vec::new() };
    let events = store.events(&topic(of), lag.position, 100).await.expect("a read");
    assert_eq!(events.len() as u64, lag.waiting);
    events
}

fn run_for(event: &Event) -> NewRun {
    let trigger = Trigger {
        kind: TriggerKind::Event,
        name: Some(event.topic.to_string()),
        id: Some(event.id.to_string()),
        at: Some(event.at),
        ..Trigger::default()
    };
    NewRun { trigger, input: event.payload.clone(), ..new_run("a") }
}

fn delivery(revision: Revision, events: &[Event], keep: impl Fn(&Event) -> bool) -> DeliveryCommit {
    let (first, last) = (&events[0], &events[events.len() - 1]);
    DeliveryCommit {
        deployment: name("a"),
        subscription: named("s"),
        revision,
        topic: first.topic.clone(),
        from: first.position,
        to: last.position + 1,
        runs: events.iter().filter(|event| keep(event)).map(run_for).collect(),
        last: last.at,
    }
}

async fn subscription(store: &Arc<dyn Store>) -> Subscription {
    store.subscription(&name("a"), &named("s")).await.expect("a read").expect("a subscription")
}

/// Returns the events that the runs of `a` received, oldest first.
async fn given(store: &Arc<dyn Store>) -> Vec<String> {
    let filter = RunFilter { deployment: Some(name("a")), ..RunFilter::default() };
    let mut runs = store.runs(filter, PageRequest::first(100)).await.expect("a list").items;
    runs.reverse();
    let mut given = Vec::new();
    for run in runs {
        let input = store.input(run.id).await.expect("a read").expect("an input");
        given.push(String::from_utf8(input.to_vec()).expect("text"));
    }
    given
}

pub(crate) async fn a_subscription_receives_each_event_once_and_in_order(store: Arc<dyn Store>) {
    a_and_b(&store).await;
    let revision = subscribe(&store, 1, vec![change("x.*", SubscriptionStart::Now)]).await;
    for n in 0..5 {
        publish(&store, "x.a", &n.to_string(), later(n)).await;
    }
    publish(&store, "x.b", "\"b\"", NOON).await;
    publish(&store, "other", "\"other\"", NOON).await;
    let events = waiting(&store, "x.a").await;
    let first = delivery(revision, &events[..3], |event| event.payload != "1");
    assert_eq!(store.deliver(first.clone()).await, Ok(true));
    assert_eq!(store.deliver(first).await, Ok(false), "its position has changed");
    assert_eq!(payloads(&waiting(&store, "x.a").await), ["3", "4"]);
    assert_eq!(store.lag(&subscription(&store).await).await, Ok(3));
    let gap = delivery(revision, &events[4..], |_| true);
    assert_eq!(store.deliver(gap).await, Ok(false), "none is left out");
    let rest = waiting(&store, "x.a").await;
    assert_eq!(store.deliver(delivery(revision, &rest, |_| true)).await, Ok(true));
    let beyond =
        DeliveryCommit { from: rest[1].position + 1, to: rest[1].position + 2, ..delivery(revision, &rest, |_| true) };
    assert_eq!(store.deliver(beyond).await, Ok(false), "there is none");
    assert_eq!(given(&store).await, ["0", "2", "3", "4"]);
    assert_eq!(lag(&store, "other").await, None);
    let found = subscription(&store).await;
    assert_eq!((found.delivered, found.filtered, found.lost, found.skipped), (4, 1, 0, 0));
    assert_eq!(found.last, Some(later(4)));
}

pub(crate) async fn a_subscription_starts_now_or_at_the_earliest_event(store: Arc<dyn Store>) {
    publish(&store, "x", "0", NOON).await;
    publish(&store, "x", "1", NOON).await;
    let earliest = SubscriptionChange { name: named("t"), ..change("**", SubscriptionStart::Earliest) };
    subscribe(&store, 1, vec![change("**", SubscriptionStart::Now), earliest]).await;
    assert!(waiting(&store, "x").await.is_empty());
    publish(&store, "x", "2", NOON).await;
    publish(&store, "y", "3", NOON).await;
    assert_eq!(payloads(&waiting(&store, "x").await), ["2"]);
    assert_eq!(
        payloads(&waiting(&store, "y").await),
        ["3"],
        "a topic that came after it is its own from the first event"
    );
    let all = store.subscription_lag(&name("a"), &named("t"), &topic("x")).await.expect("a read").expect("a place");
    assert_eq!(all.waiting, 3);
}

pub(crate) async fn a_new_revision_keeps_the_position_and_a_removed_subscription_loses_it(store: Arc<dyn Store>) {
    let revision = subscribe(&store, 1, vec![change("x", SubscriptionStart::Now)]).await;
    for n in 0..4 {
        publish(&store, "x", &n.to_string(), NOON).await;
    }
    let events = waiting(&store, "x").await;
    assert_eq!(store.deliver(delivery(revision, &events[..2], |_| true)).await, Ok(true));
    let next = subscribe(&store, 2, vec![change("x", SubscriptionStart::Earliest)]).await;
    assert_eq!(payloads(&waiting(&store, "x").await), ["2", "3"]);
    assert_eq!(subscription(&store).await.revision, next);
    subscribe(&store, 3, vec![]).await;
    assert_eq!((lag(&store, "x").await, store.subscription(&name("a"), &named("s")).await), (None, Ok(None)));
    subscribe(&store, 4, vec![change("x", SubscriptionStart::Earliest)]).await;
    assert_eq!(payloads(&waiting(&store, "x").await), ["0", "1", "2", "3"]);
    store.end_waiting(&name("a"), None, NOON).await.expect("an end");
    store.delete_deployment(&name("a"), NOON).await.expect("a deletion");
    assert_eq!(store.subscriptions(None, PageRequest::first(9)).await.expect("a list").items, []);
    subscribe(&store, 5, vec![change("x", SubscriptionStart::Now)]).await;
    assert!(waiting(&store, "x").await.is_empty(), "its successor starts at the end");
}

pub(crate) async fn another_pattern_keeps_the_positions_of_common_topics(store: Arc<dyn Store>) {
    let revision = subscribe(&store, 1, vec![change("x.*", SubscriptionStart::Now)]).await;
    for to in ["x.a", "x.a", "x.b", "y.a", "x.c"] {
        publish(&store, to, "1", NOON).await;
    }
    let events = waiting(&store, "x.a").await;
    assert_eq!(store.deliver(delivery(revision, &events[..1], |_| true)).await, Ok(true));
    subscribe(&store, 2, vec![change("*.a", SubscriptionStart::Now)]).await;
    assert_eq!(waiting(&store, "x.a").await.len(), 1, "it keeps its position in a topic that it had");
    assert_eq!(lag(&store, "x.b").await, None);
    assert!(waiting(&store, "y.a").await.is_empty(), "it starts at the end of a new topic");
    subscribe(&store, 3, vec![change("**", SubscriptionStart::Now)]).await;
    assert_eq!((waiting(&store, "x.a").await.len(), waiting(&store, "x.b").await.len()), (1, 0));
}

pub(crate) async fn a_paused_or_changed_deployment_receives_nothing(store: Arc<dyn Store>) {
    let revision = subscribe(&store, 1, vec![change("x", SubscriptionStart::Now)]).await;
    publish(&store, "x", "1", NOON).await;
    let delivery = delivery(revision, &waiting(&store, "x").await, |_| true);
    let pause = Pause { since: NOON, note: String::new() };
    store.pause_deployment(&name("a"), Some(pause), None, NOON).await.expect("a pause");
    assert_eq!(store.deliver(delivery.clone()).await, Ok(false));
    store.pause_deployment(&name("a"), None, None, NOON).await.expect("a resumption");
    let next = subscribe(&store, 2, vec![change("x", SubscriptionStart::Now)]).await;
    assert_eq!(store.deliver(delivery.clone()).await, Ok(false));
    assert_eq!(store.deliver(DeliveryCommit { revision: next, ..delivery }).await, Ok(true));
    assert_eq!(given(&store).await, ["1"]);
}

pub(crate) async fn a_paused_subscription_receives_nothing_and_keeps_its_position(store: Arc<dyn Store>) {
    let both = |topic| {
        vec![
            change(topic, SubscriptionStart::Now),
            SubscriptionChange { name: named("t"), ..change("x", SubscriptionStart::Now) },
        ]
    };
    subscribe(&store, 1, both("x")).await;
    for n in 0..4 {
        publish(&store, "x", &n.to_string(), later(n)).await;
    }
    let pause = Some(Pause { since: NOON, note: "why".into() });
    let paused = store.pause_subscription(&name("a"), &named("s"), pause.clone(), NOON).await.expect("a pause");
    assert_eq!((paused.paused.clone(), subscription(&store).await), (pause.clone(), paused));
    // A new revision keeps the position, even with another pattern.
    let revision = subscribe(&store, 2, both("*")).await;
    assert_eq!(subscription(&store).await.paused, pause);
    let events = waiting(&store, "x").await;
    assert_eq!(
        (payloads(&events), lag(&store, "x").await.map(|lag| lag.paused)),
        (vec!["0", "1", "2", "3"], Some(true))
    );
    let all = delivery(revision, &events, |_| true);
    assert_eq!(store.deliver(all.clone()).await, Ok(false));
    let other = DeliveryCommit { subscription: named("t"), ..all.clone() };
    assert_eq!(store.deliver(other).await, Ok(true), "another subscription of its deployment continues");
    // The subscription does not keep events from retention.
    let policy = EventPolicy { published_before: Some(later(1)), keep: None };
    assert_eq!(store.expire_events(policy, 100, NOON).await.expect("retention").lost, 1);
    let resumed = store.pause_subscription(&name("a"), &named("s"), None, NOON).await.expect("a resumption");
    assert_eq!((resumed.paused, resumed.lost), (None, 1));
    let rest = waiting(&store, "x").await;
    assert_eq!(store.deliver(delivery(revision, &rest, |_| true)).await, Ok(true));
    assert_eq!((subscription(&store).await.delivered, lag(&store, "x").await.map(|lag| lag.paused)), (3, Some(false)));
    let changes: Vec<_> = changes(&store).await.into_iter().map(|(change, _)| change).collect();
    assert_eq!(changes, ["paused", "lost", "resumed"]);
    assert!(store.pause_subscription(&name("a"), &named("u"), None, NOON).await.is_err());
}

async fn changes(store: &Arc<dyn Store>) -> Vec<(String, u64)> {
    let feed = store.feed(0, 1_000).await.expect("the feed");
    let changes = feed.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Subscription { change, events, .. } => Some((change, events)),
        _ => None,
    });
    changes.collect()
}

pub(crate) async fn an_event_removed_before_delivery_is_reported_as_lost(store: Arc<dyn Store>) {
    let revision = subscribe(&store, 1, vec![change("**", SubscriptionStart::Now)]).await;
    for n in 0..6 {
        publish(&store, "x", &n.to_string(), later(n)).await;
    }
    let events = waiting(&store, "x").await;
    assert_eq!(store.deliver(delivery(revision, &events[..1], |_| true)).await, Ok(true));
    let policy = EventPolicy { published_before: Some(later(4)), keep: None };
    let expired = store.expire_events(policy, 100, NOON).await.expect("retention");
    assert_eq!((expired.events, expired.lost), (4, 3));
    assert_eq!(store.deliver(delivery(revision, &events[1..2], |_| true)).await, Ok(false));
    assert_eq!(payloads(&waiting(&store, "x").await), ["4", "5"]);
    assert_eq!(subscription(&store).await.lost, 3);
    // The same holds if the topic itself is removed; later events are delivered.
    let policy = EventPolicy { published_before: Some(later(100)), keep: None };
    store.expire_events(policy, 100, NOON).await.expect("retention");
    assert_eq!((subscription(&store).await.lost, lag(&store, "x").await), (5, None));
    publish(&store, "x", "6", later(200)).await;
    assert_eq!(payloads(&waiting(&store, "x").await), ["6"]);
    assert_eq!(changes(&store).await, [("lost".to_owned(), 3), ("lost".to_owned(), 2)]);
}

pub(crate) async fn skipping_leaves_nothing_waiting(store: Arc<dyn Store>) {
    subscribe(&store, 1, vec![change("**", SubscriptionStart::Now)]).await;
    for (to, payload) in [("x", "1"), ("x", "2"), ("y", "3")] {
        publish(&store, to, payload, NOON).await;
    }
    assert_eq!(store.skip(&name("a"), &named("s"), NOON).await, Ok(3));
    assert_eq!(store.skip(&name("a"), &named("s"), NOON).await, Ok(0));
    assert!(waiting(&store, "x").await.is_empty() && waiting(&store, "y").await.is_empty());
    publish(&store, "y", "4", NOON).await;
    assert_eq!(payloads(&waiting(&store, "y").await), ["4"]);
    let found = subscription(&store).await;
    assert_eq!((found.skipped, store.lag(&found).await), (3, Ok(1)));
    assert_eq!(changes(&store).await, [("skipped".to_owned(), 3)]);
    assert!(store.skip(&name("a"), &named("t"), NOON).await.is_err());
}

fn replay(since: Timestamp, until: Option<Timestamp>) -> Operation {
    let task = Task::Replay { deployment: name("a"), subscription: named("s"), since, until };
    Operation::new("op", task, NOON)
}

pub(crate) async fn a_replay_delivers_past_events_once_more(store: Arc<dyn Store>) {
    let revision = subscribe(&store, 1, vec![change("**", SubscriptionStart::Now)]).await;
    for n in 0..6 {
        publish(&store, "x", &n.to_string(), later(n)).await;
    }
    publish(&store, "y", "\"y\"", later(2)).await;
    let events = waiting(&store, "x").await;
    assert_eq!(store.deliver(delivery(revision, &events[..5], |_| true)).await, Ok(true));
    let size = async |since, until| store.replay_size(&name("a"), &named("s"), since, until).await.expect("a read");
    assert_eq!((size(later(2), None).await, size(later(1), Some(later(3))).await), (3, 2), "the size starts no replay");
    assert_eq!(store.next_replay("op").await, Ok(None));
    let begun = store.begin_replay(replay(later(2), None)).await.expect("a replay");
    assert_eq!((store.open_operations().await, begun.total), (Ok(vec![begun.clone()]), Some(3)));
    let repeated = store.begin_replay(Operation { created_at: later(9), ..replay(later(4), None) }).await;
    assert_eq!(repeated, Ok(begun.clone()), "one operation of an id");
    // Later events are delivered once.
    let events = waiting(&store, "x").await;
    assert_eq!(store.deliver(delivery(revision, &events, |_| true)).await, Ok(true));
    let mut again = Vec::new();
    while let Some(part) = store.next_replay("op").await.expect("a read") {
        let events = store.events(&part.topic, part.from, 2).await.expect("a read");
        let events: Vec<_> = events.into_iter().filter(|event| event.position < part.to).collect();
        let to = events.last().expect("an event").position + 1;
        let operation = Operation { done: begun.done + 1, ..begun.clone() };
        let runs = events.iter().map(run_for).collect();
        let done = ReplayCommit { operation, part: tidemill_store::records::SubscriptionReplay { to, ..part }, runs };
        assert_eq!(store.replay(done.clone()).await, Ok(true));
        assert_eq!(store.replay(done).await, Ok(false), "each part once");
        again.extend(payloads(&events).into_iter().map(str::to_owned));
    }
    assert_eq!(again, ["2", "3", "4"], "waiting events were not replayed");
    assert_eq!(given(&store).await, ["0", "1", "2", "3", "4", "5", "2", "3", "4"]);
    let nothing = Operation { id: "of-nothing".into(), ..replay(later(100), None) };
    let begun = store.begin_replay(nothing).await.expect("a replay");
    assert_eq!(begun.state, OperationState::Done);
    let ranged = Operation { id: "ranged".into(), ..replay(later(1), Some(later(3))) };
    store.begin_replay(ranged).await.expect("a replay");
    let part = store.next_replay("ranged").await.expect("a read").expect("a part");
    assert_eq!(part.to - part.from, 2);
    // A cancelled replay delivers nothing more.
    let cancelled = store.cancel_operation("ranged", later(9)).await.expect("it is there");
    assert_eq!((cancelled.state, store.next_replay("ranged").await), (OperationState::Cancelled, Ok(None)));
    let late = ReplayCommit { operation: Operation { id: "ranged".into(), ..replay(NOON, None) }, part, runs: vec![] };
    assert_eq!(store.replay(late).await, Ok(false));
    let task = Task::Replay { deployment: name("a"), subscription: named("t"), since: NOON, until: None };
    let elsewhere = Operation { id: "else".into(), task, ..replay(NOON, None) };
    assert!(store.begin_replay(elsewhere).await.is_err());
}
