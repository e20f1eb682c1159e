//! Deletes events and topics, and counts events as lost that a subscription had not received.

use tidemill_core::{Timestamp, Topic};

use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::CURSORS;
use crate::embedded::throttle::{PIECE, paced};
use crate::embedded::topics::{self, TopicRecord, subscriptions};
use crate::embedded::tx::WriteTx;
use crate::error::{Result, StoreError};
use crate::records::{EventPolicy, ExpiredEvents, PageRequest, Subscription};
use crate::traits::TopicStore;

/// Number of topics that are read at once.
const PAGE: usize = 256;

/// Returns whether a policy allows to delete any event of a topic, or the topic.
fn is_over(head: &TopicRecord, policy: &EventPolicy) -> bool {
    let events = head.next - head.first;
    let old = |time: Timestamp| policy.published_before.is_some_and(|before| time < before);
    policy.keep.is_some_and(|keep| events > keep) || if events > 0 { old(head.first_at) } else { old(head.last_at) }
}

/// Deletes the oldest events of a topic, at most `limit`, and the topic if it is empty and old.
/// Counts and announces events that a subscription had not received as lost.
fn expire(
    commit: &mut WriteTx<'_, '_>,
    topic: &Topic,
    policy: &EventPolicy,
    limit: usize,
    now: Timestamp,
) -> Result<ExpiredEvents> {
    let mut expired = ExpiredEvents::default();
    let Some(mut head) = topics::head(commit, topic)?.filter(|head| is_over(head, policy)) else { return Ok(expired) };
    let mut first = head.first;
    if let Some(before) = policy.published_before {
        first = topics::at_time(commit, topic, &head, before)?;
    }
    if let Some(keep) = policy.keep {
        first = first.max(head.next.saturating_sub(keep));
    }
    let max = head.first.saturating_add(limit as u64);
    expired.more = first > max;
    first = first.clamp(head.first, head.next).min(max);
    let ends = first == head.next && policy.published_before.is_some_and(|before| head.last_at < before);
    for subscription in subscriptions::all(commit)? {
        if !subscription.topic.matches(topic) {
            continue;
        }
        let position = subscriptions::position(commit, &subscription, topic, &head)?.clamp(head.first, head.next);
        let (key, lost) = (subscriptions::place(&subscription, topic), first.saturating_sub(position));
        if lost > 0 {
            expired.lost += lost;
            subscriptions::announce(commit, &subscription, Some(topic), "lost", lost, now)?;
            subscriptions::write(commit, &Subscription { lost: subscription.lost + lost, ..subscription })?;
            commit.put_record(CURSORS, &key, &first)?;
        }
        if ends {
            commit.delete(CURSORS, &key);
        }
    }
    for position in head.first..first {
        topics::delete_event(commit, topic, position)?;
    }
    expired.events = first - head.first;
    head.first = first;
    if ends {
        topics::end(commit, topic)?;
        return Ok(expired);
    }
    if let Some(oldest) = topics::from(commit, topic, first, 1)?.first() {
        head.first_at = oldest.at;
    }
    topics::put_head(commit, topic, &head)?;
    Ok(expired)
}

/// Deletes a topic, or the oldest part of its events if they exceed one commit. The result shows
/// whether more are left.
fn delete_part(commit: &mut WriteTx<'_, '_>, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
    if topics::head(commit, topic)?.is_none() {
        return Err(StoreError::NotFound { kind: "topic", name: topic.to_string() });
    }
    // All events, and the topic, are older than the end of time.
    let policy = EventPolicy { published_before: Some(Timestamp::from_millis(u64::MAX)), keep: None };
    expire(commit, topic, &policy, PIECE, now)
}

/// Deletes old events, at most `limit` of each topic.
pub(crate) async fn expire_events(
    store: &EmbeddedStore,
    policy: EventPolicy,
    limit: usize,
    now: Timestamp,
) -> Result<ExpiredEvents> {
    let limit = limit.max(1);
    let mut expired = ExpiredEvents::default();
    let mut page = PageRequest::first(PAGE);
    loop {
        let found = store.topics(page).await?;
        for topic in found.items {
            let Some(head) = topics::head(store.latest(), &topic.topic)? else { continue };
            if !is_over(&head, &policy) {
                continue;
            }
            let topic = topic.topic;
            let part = paced(store.commit(move |c| expire(c, &topic, &policy, limit, now))).await?;
            expired.events += part.events;
            expired.lost += part.lost;
            expired.more |= part.more;
        }
        match found.next {
            Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
            None => return Ok(expired),
        }
    }
}

/// Deletes a topic with its events, one piece in each commit.
pub(crate) async fn delete_topic(store: &EmbeddedStore, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
    let mut deleted = ExpiredEvents::default();
    loop {
        let name = topic.clone();
        let part = paced(store.commit(move |c| delete_part(c, &name, now))).await?;
        deleted.events += part.events;
        deleted.lost += part.lost;
        if !part.more {
            return Ok(deleted);
        }
    }
}
