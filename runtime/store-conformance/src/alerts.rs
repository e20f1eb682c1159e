//! Claims about alerts, their notifications, silences and counts of attempts.

use std::sync::Arc;

use tidemill_core::alerts::{
    Acknowledgement, Alert, AlertKey, AlertSeverity, AlertState, AlertStep, NoticeKind, Notification,
    NotificationState, ServiceCounts, ServiceHistory, Silence, SilenceMatcher,
};
use tidemill_core::{AlertId, ChannelName, Code, DeploymentName, NotificationId, SilenceId, Timestamp};
use tidemill_store::records::{AlertCommand, AlertCommit, AlertFilter, FeedEvent, NotificationOutcome, PageRequest};
use tidemill_store::{Store, StoreError};

use crate::fixture::{NOON, deploy, later, name};

const DAY_MILLIS: u64 = 24 * 3_600_000;

fn channel(text: &str) -> ChannelName {
    text.parse().expect("a name")
}

fn key(rule: &str, deployment: &str) -> AlertKey {
    AlertKey { rule: rule.parse().expect("a name"), deployment: Some(name(deployment)), subject: String::new() }
}

fn alert(number: u128, key: AlertKey) -> Alert {
    let labels = vec![("team".to_owned(), "shop".to_owned())];
    Alert::new(AlertId::new(NOON, number), key, AlertSeverity::Page, labels, "it is down", NOON, NOON)
}

fn announcement(channels: &[&str]) -> AlertStep {
    AlertStep::Announce { at: NOON, channels: channels.iter().map(|name| channel(name)).collect() }
}

fn fire(number: u128, key: AlertKey, channels: &[&str]) -> AlertCommit {
    let announcement = (!channels.is_empty()).then(|| announcement(channels));
    let alert = Box::new(alert(number, key));
    AlertCommit { change: AlertCommand::Fire { alert, announcement }, random: number * 100 }
}

fn step(id: AlertId, step: AlertStep, random: u128) -> AlertCommit {
    AlertCommit { change: AlertCommand::Step { id, step }, random }
}

async fn change(store: &Arc<dyn Store>, changes: Vec<AlertCommit>, at: Timestamp) -> Vec<Alert> {
    store.change_alerts(changes, at).await.expect("a commit")
}

/// Opens an alert about `deployment` that is announced to channel `a`.
async fn open(store: &Arc<dyn Store>, number: u128, deployment: &str) -> AlertId {
    change(store, vec![fire(number, key("unhealthy", deployment), &["a"])], NOON).await[0].id
}

async fn resolve(store: &Arc<dyn Store>, id: AlertId, at: Timestamp) {
    change(store, vec![step(id, AlertStep::Resolve { at }, u128::from(at.as_millis()))], at).await;
}

async fn waiting(store: &Arc<dyn Store>, of: &str) -> Vec<Notification> {
    store.waiting_notifications(&channel(of), 10_000).await.expect("a read")
}

async fn kinds(store: &Arc<dyn Store>, id: AlertId) -> Vec<(NoticeKind, &'static str)> {
    let all = store.notifications(id, 100).await.expect("a read");
    all.iter().map(|it| (it.kind, it.state.as_str())).collect()
}

pub(crate) async fn an_alert_is_committed_with_its_notifications_and_announced(store: Arc<dyn Store>) {
    let fired = change(&store, vec![fire(1, key("unhealthy", "shop"), &["a", "b"])], NOON).await;
    let id = fired[0].id;
    assert_eq!(fired[0].channels, [channel("a"), channel("b")]);
    assert_eq!(store.open_alerts().await, Ok(fired.clone()));
    assert_eq!(store.alert(id).await, Ok(Some(fired[0].clone())));
    let queued = waiting(&store, "a").await;
    assert_eq!(queued.len(), 1);
    assert_eq!((queued[0].alert, queued[0].kind, queued[0].created_at), (id, NoticeKind::Firing, NOON));
    assert_eq!((queued[0].summary.as_str(), queued[0].labels.len()), ("it is down", 1));
    assert_eq!(store.waiting_counts().await, Ok(vec![(channel("a"), 1), (channel("b"), 1)]));
    let escalated = AlertStep::Escalate { at: later(1), channel: channel("c") };
    change(&store, vec![step(id, escalated, 200)], later(1)).await;
    resolve(&store, id, later(2)).await;
    assert_eq!(store.open_alerts().await, Ok(vec![]));
    assert_eq!(
        store.waiting_counts().await.map(|all| all.iter().map(|(_, count)| *count).collect()),
        Ok(vec![2, 2, 2])
    );
    let events = store.feed(0, 100).await.expect("a read").into_iter();
    let changes: Vec<_> = events
        .filter_map(|entry| match entry.event {
            FeedEvent::Alert { change, .. } => Some(change),
            _ => None,
        })
        .collect();
    assert_eq!(changes, ["firing", "escalated", "resolved"]);
}

pub(crate) async fn one_alert_is_open_for_each_key(store: Arc<dyn Store>) {
    let id = open(&store, 1, "shop").await;
    assert_eq!(open(&store, 2, "shop").await, id, "the open alert is returned");
    assert_ne!(open(&store, 3, "other").await, id);
    assert_eq!(store.alert(AlertId::new(NOON, 2)).await, Ok(None));
    assert_eq!(kinds(&store, id).await.len(), 1, "it is announced once");
    resolve(&store, id, later(1)).await;
    assert_ne!(open(&store, 4, "shop").await, id);
}

pub(crate) async fn a_step_that_another_one_has_overtaken_does_nothing(store: Arc<dyn Store>) {
    let id = open(&store, 1, "shop").await;
    let seen = |actor: &str| Acknowledgement { at: later(1), actor: actor.to_owned(), note: "on it".to_owned() };
    let acknowledged = store.acknowledge_alert(id, seen("ann")).await.expect("a commit");
    assert_eq!(acknowledged.state, AlertState::Acknowledged(seen("ann")));
    assert_eq!(store.acknowledge_alert(id, seen("bob")).await, Ok(acknowledged.clone()));
    let late = [AlertStep::Repeat { at: later(2) }, AlertStep::Escalate { at: later(2), channel: channel("b") }];
    for late in late {
        let unchanged = change(&store, vec![step(id, late, 7)], later(2)).await;
        assert_eq!(unchanged.first(), Some(&acknowledged));
    }
    assert_eq!(kinds(&store, id).await, [(NoticeKind::Firing, "waiting")]);
    resolve(&store, id, later(3)).await;
    resolve(&store, id, later(4)).await;
    assert_eq!(kinds(&store, id).await.len(), 2, "its end is sent once");
    let refused = store.acknowledge_alert(id, seen("ann")).await;
    assert!(matches!(refused, Err(StoreError::EffectImpossible { code: Code::AlertResolved, .. })), "{refused:?}");
    let unknown = store.acknowledge_alert(AlertId::new(NOON, 9), seen("ann")).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { kind: "alert", .. })), "{unknown:?}");
    assert_eq!(change(&store, vec![step(AlertId::new(NOON, 9), AlertStep::Repeat { at: NOON }, 8)], NOON).await, []);
}

pub(crate) async fn a_notification_waits_in_the_order_of_its_channel_until_it_is_settled(store: Arc<dyn Store>) {
    let (one, two) = (open(&store, 1, "one").await, open(&store, 2, "two").await);
    resolve(&store, one, later(5)).await;
    let queued = waiting(&store, "a").await;
    let order: Vec<_> = queued.iter().map(|it| (it.alert, it.kind)).collect();
    assert_eq!(order, [(one, NoticeKind::Firing), (two, NoticeKind::Firing), (one, NoticeKind::Resolved)]);
    assert_eq!(store.waiting_notifications(&channel("a"), 1).await.map(|all| all.len()), Ok(1));
    let settle = async |of: &Notification, outcome| {
        store.settle_notification(of.alert, of.id, outcome).await.expect("a commit");
    };
    settle(&queued[0], NotificationOutcome::Failed { error: "no\nanswer ".repeat(100) }).await;
    let again = waiting(&store, "a").await;
    assert_eq!((again.len(), again[0].tries), (3, 1));
    assert!(again[0].error.starts_with("no answer ") && again[0].error.len() <= 512);
    settle(&queued[0], NotificationOutcome::Sent { at: later(6) }).await;
    let error = "it is too late".to_owned();
    settle(&queued[1], NotificationOutcome::Dead { at: later(7), error, tried: false }).await;
    settle(&queued[0], NotificationOutcome::Failed { error: "late".to_owned() }).await;
    assert_eq!(waiting(&store, "a").await.len(), 1);
    let sent = store.notifications(one, 1).await.expect("a read").remove(0);
    assert_eq!((sent.tries, sent.error.as_str(), sent.state), (2, "", NotificationState::Sent { at: later(6) }));
    let dead = store.notifications(two, 1).await.expect("a read").remove(0);
    assert_eq!((dead.tries, dead.error.as_str()), (0, "it is too late"));
    assert_eq!(dead.state, NotificationState::Dead { at: later(7) });
    let absent = NotificationId::new(NOON, 77);
    store.settle_notification(one, absent, NotificationOutcome::Sent { at: NOON }).await.expect("nothing to do");
}

pub(crate) async fn a_channel_with_too_many_waiting_notifications_takes_no_more(store: Arc<dyn Store>) {
    let fires = (0..1_002).map(|n| fire(n + 1, key("unhealthy", &format!("d{n}")), &["a"])).collect();
    let fired = change(&store, fires, NOON).await;
    assert_eq!((fired.len(), waiting(&store, "a").await.len()), (1_002, 1_000));
    let last = store.notifications(fired[1_001].id, 10).await.expect("a read");
    assert_eq!((last[0].state.as_str(), last[0].tries), ("dead", 0));
    assert!(last[0].error.starts_with("1000 other notifications"), "{}", last[0].error);
}

pub(crate) async fn alerts_that_are_over_are_listed_last_first_and_removed_later(store: Arc<dyn Store>) {
    let mut ids = Vec::new();
    for (number, deployment) in (1..).zip(["one", "two", "three", "four"]) {
        ids.push(open(&store, number, deployment).await);
    }
    for (id, day) in [(ids[2], 1), (ids[0], 2), (ids[1], 3)] {
        resolve(&store, id, NOON.plus_millis(day * DAY_MILLIS)).await;
    }
    let list = async |filter: AlertFilter, page| {
        let page = store.resolved_alerts(filter, page).await.expect("a page");
        (page.items.iter().map(|alert| alert.id).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = list(AlertFilter::default(), PageRequest::first(2)).await;
    assert_eq!(first, [ids[1], ids[0]]);
    assert_eq!(list(AlertFilter::default(), PageRequest { cursor: next, limit: 2 }).await, (vec![ids[2]], None));
    assert_eq!(list(AlertFilter::default(), PageRequest::first(3)).await.1, None);
    let one = AlertFilter { deployment: Some(name("one")), ..AlertFilter::default() };
    assert_eq!(list(one, PageRequest::first(10)).await, (vec![ids[0]], None));
    let ticket = AlertFilter { severity: Some(AlertSeverity::Ticket), ..AlertFilter::default() };
    assert_eq!(list(ticket, PageRequest::first(10)).await.0, []);
    let before = NOON.plus_millis(2 * DAY_MILLIS);
    assert_eq!(store.remove_alerts(before, 10).await, Ok(1));
    assert_eq!((store.alert(ids[2]).await, store.notifications(ids[2], 10).await), (Ok(None), Ok(vec![])));
    assert!(waiting(&store, "a").await.iter().all(|it| it.alert != ids[2]));
    assert_eq!(store.remove_alerts(NOON.plus_millis(9 * DAY_MILLIS), 10).await, Ok(2));
    assert_eq!(store.open_alerts().await.map(|open| open.len()), Ok(1), "an open alert is never removed");
}

pub(crate) async fn a_silence_is_kept_until_it_ends_or_is_deleted(store: Arc<dyn Store>) {
    let silence = |number: u128, created_at, ends_at| Silence {
        id: SilenceId::new(created_at, number),
        matcher: SilenceMatcher { severity: Some(AlertSeverity::Page), ..SilenceMatcher::default() },
        created_at,
        ends_at,
        note: "moving".to_owned(),
        actor: "ann".to_owned(),
    };
    let (short, long) = (silence(1, NOON, later(10)), silence(2, later(1), later(1_000)));
    store.put_silence(short.clone()).await.expect("a commit");
    store.put_silence(long.clone()).await.expect("a commit");
    assert_eq!(store.silences().await, Ok(vec![short, long.clone()]));
    let next = silence(3, later(10), later(50));
    store.put_silence(next.clone()).await.expect("a commit");
    assert_eq!(store.silences().await, Ok(vec![long.clone(), next.clone()]), "the first one has ended");
    assert_eq!(store.delete_silence(long.id).await, Ok(true));
    assert_eq!(store.delete_silence(long.id).await, Ok(false));
    for number in 0..999 {
        store.put_silence(silence(100 + number, later(11), later(90))).await.expect("a commit");
    }
    let refused = store.put_silence(silence(9_999, later(12), later(90))).await;
    assert!(matches!(refused, Err(StoreError::OverBound { code: Code::LimitSilences, .. })), "{refused:?}");
}

pub(crate) async fn counts_of_attempts_are_kept_with_their_deployment(store: Arc<dyn Store>) {
    let a = deploy(&store, "a").await.name;
    let mut history = ServiceHistory::default();
    history.add(ServiceCounts { attempts: 10, failed: 1, slow: 2 }, NOON);
    let absent: DeploymentName = name("absent");
    let all = vec![(a.clone(), history.clone()), (absent, history.clone())];
    store.put_service_histories(all).await.expect("a commit");
    assert_eq!(store.service_histories().await, Ok(vec![(a.clone(), history)]));
    store.delete_deployment(&a, later(1)).await.expect("a commit");
    deploy(&store, "a").await;
    assert_eq!(store.service_histories().await, Ok(vec![]));
}
