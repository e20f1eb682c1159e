//! Topics: ordered events with consecutive positions, found by position, by commit and by time.
//!
//! Positions have no gaps, and times and commits never decrease within a topic, so a binary search
//! finds all three. A topic that is deleted and published to again starts after every position that
//! it ever had.

pub(crate) mod replay;
pub(crate) mod subscriptions;

use serde::{Deserialize, Serialize};
use tidemill_core::quotas::Quotas;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::{Code, DeploymentName, EventId, RunId, Timestamp, Topic, TopicPattern};
use xxhash_rust::xxh3::xxh3_128;

use super::read_tx::ReadTx;
use super::tables::{EVENT_KEY_ENDS, EVENT_KEYS, EVENTS, META, TOPIC_OWNERS, TOPICS, at, under};
use super::throttle::PIECE;
use super::usage::{self, UsageDelta};
use super::value::{self, ValueRef};
use super::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{self, NewEvent, NewPublication, Page, PageRequest, PublishOutcome, Publisher, TopicSummary};

type Result<T> = std::result::Result<T, StoreError>;

/// How long an idempotency key of an event is reserved, in milliseconds.
const KEY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// Maximum size of such a key, in bytes.
const KEY: usize = 512;
/// A new topic starts at the number of its commit times this, which exceeds the number of events in
/// one commit.
const PLACES_PER_COMMIT: u64 = 1 << 16;
/// The key of the number of topics in [`META`].
const TOTAL: &[u8] = b"topics";
/// Maximum size of the payloads in one page, in bytes. A page contains at least one event.
const PAGE_BYTES: usize = 4 << 20;

/// The record of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicRecord {
    /// The position of the oldest stored event.
    pub(super) first: u64,
    /// The position of the next published event; equal to `first` if no event is stored.
    pub(super) next: u64,
    /// The number of events ever published.
    pub(super) published: u64,
    /// The time of the oldest stored event.
    pub(super) first_at: Timestamp,
    /// The time of the newest event.
    pub(super) last_at: Timestamp,
    /// The commit of the newest event.
    pub(super) last_commit: u64,
}

/// A stored event. Its payload may be in a payload file.
pub(super) struct StoredEvent {
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) commit: u64,
    pub(super) id: EventId,
    pub(super) publisher: Publisher,
    pub(super) payload: ValueRef,
}

/// Builds the prefix of an event: time, commit, id, length of the rest, run and deployment.
fn own(at: Timestamp, commit: u64, id: EventId, publisher: &Publisher) -> Vec<u8> {
    let mut own = Vec::with_capacity(64);
    own.extend_from_slice(&at.as_millis().to_be_bytes());
    own.extend_from_slice(&commit.to_be_bytes());
    own.extend_from_slice(&id.to_bytes());
    match publisher {
        Publisher::Operator => own.push(0),
        Publisher::Run { deployment, run } => {
            // Names of deployments have at most 63 bytes.
            own.push(u8::try_from(16 + deployment.as_str().len()).unwrap_or(u8::MAX));
            own.extend_from_slice(&run.to_bytes());
            own.extend_from_slice(deployment.as_str().as_bytes());
        }
    }
    own
}

impl StoredEvent {
    fn read(position: u64, stored: &[u8]) -> Result<Self> {
        let read = || {
            let (at, rest) = value::own(stored)?.split_first_chunk::<8>()?;
            let (commit, rest) = rest.split_first_chunk::<8>()?;
            let (id, rest) = rest.split_first_chunk::<16>()?;
            let (length, rest) = rest.split_first()?;
            let by = rest.get(..usize::from(*length))?;
            let publisher = match by.split_first_chunk::<16>() {
                None if by.is_empty() => Publisher::Operator,
                None => return None,
                Some((run, name)) => Publisher::Run {
                    deployment: std::str::from_utf8(name).ok()?.parse().ok()?,
                    run: RunId::from_bytes(*run),
                },
            };
            Some((u64::from_be_bytes(*at), u64::from_be_bytes(*commit), *id, publisher, 33 + by.len()))
        };
        let (at, commit, id, publisher, own) =
            read().ok_or_else(|| StoreError::Damaged { what: "an event cannot be read".into() })?;
        let payload = value::read(EVENTS, stored, own)?.0;
        Ok(Self { position, at: Timestamp::from_millis(at), commit, id: EventId::from_bytes(id), publisher, payload })
    }
}

pub(super) fn place(topic: &Topic, position: u64) -> Vec<u8> {
    under(topic.as_str(), &position.to_be_bytes())
}

pub(super) fn head(store: &impl ReadTx, topic: &Topic) -> Result<Option<TopicRecord>> {
    store.record(TOPICS, topic.as_str().as_bytes())
}

pub(super) fn put_head(commit: &mut WriteTx<'_, '_>, topic: &Topic, head: &TopicRecord) -> Result<()> {
    commit.put_record(TOPICS, topic.as_str().as_bytes(), head)
}

/// Returns every topic that a pattern matches, with its record.
pub(super) fn matching(store: &impl ReadTx, pattern: &TopicPattern) -> Result<Vec<(Topic, TopicRecord)>> {
    if let Some(topic) = pattern.exact() {
        return Ok(head(store, &topic)?.map(|head| (topic, head)).into_iter().collect());
    }
    let mut found = Vec::new();
    for (key, bytes) in store.scan_prefix(TOPICS, pattern.first_word().unwrap_or_default().as_bytes(), usize::MAX)? {
        let topic = name(&key)?;
        if pattern.matches(&topic) {
            found.push((topic, super::codec::decode(TOPICS, &bytes)?));
        }
    }
    Ok(found)
}

fn name(key: &[u8]) -> Result<Topic> {
    let name = std::str::from_utf8(key).ok().and_then(|name| name.parse().ok());
    name.ok_or_else(|| StoreError::Damaged { what: "a key of table topics cannot be read".into() })
}

/// Returns the number of topics.
pub(super) fn total(store: &impl ReadTx) -> Result<u64> {
    match store.record(META, TOTAL)? {
        Some(total) => Ok(total),
        // A folder of a release that did not count topics.
        None => Ok(store.scan_prefix(TOPICS, &[], usize::MAX)?.len() as u64),
    }
}

/// Refuses `more` topics if they exceed the maximum of the store.
pub(super) fn check_total(store: &impl ReadTx, more: u64) -> Result<()> {
    if total(store)?.saturating_add(more) > records::TOPICS {
        let detail = format!("the store has reached its maximum of {} topics", records::TOPICS);
        return Err(StoreError::OverBound { code: Code::LimitTopics, detail });
    }
    Ok(())
}

/// Returns how many more topics the runs of a deployment may create.
pub(super) fn room(store: &impl ReadTx, quotas: &Quotas, deployment: &DeploymentName) -> Result<u64> {
    let own = usage::get(store, deployment)?.topics;
    Ok(quotas.topics.saturating_sub(own).min(records::TOPICS.saturating_sub(total(store)?)))
}

/// Creates a topic, within the quota of the deployment that publishes its first event.
fn begin(commit: &mut WriteTx<'_, '_>, topic: &Topic, publisher: &Publisher) -> Result<()> {
    match publisher.deployment() {
        Some(deployment) => {
            usage::check_topic(commit, deployment)?;
            commit.put_record(TOPIC_OWNERS, topic.as_str().as_bytes(), deployment)?;
            commit.changes.note(deployment, UsageDelta { topics: 1, ..UsageDelta::default() });
        }
        None => check_total(commit, 1)?,
    }
    let total = total(commit)?;
    commit.put_record(META, TOTAL, &(total + 1))
}

/// Deletes a topic without events.
pub(super) fn end(commit: &mut WriteTx<'_, '_>, topic: &Topic) -> Result<()> {
    let name = topic.as_str().as_bytes();
    let total = total(commit)?;
    commit.put_record(META, TOTAL, &total.saturating_sub(1))?;
    if let Some(owner) = commit.record::<DeploymentName>(TOPIC_OWNERS, name)? {
        commit.delete(TOPIC_OWNERS, name);
        commit.changes.note(&owner, UsageDelta { topics: -1, ..UsageDelta::default() });
    }
    commit.delete(TOPICS, name);
    Ok(())
}

/// Returns the deployment whose run published a stored event.
pub(super) fn publisher(stored: &[u8]) -> Result<Option<DeploymentName>> {
    Ok(StoredEvent::read(0, stored)?.publisher.deployment().cloned())
}

/// Deletes an event, if it exists.
pub(super) fn delete_event(commit: &mut WriteTx<'_, '_>, topic: &Topic, position: u64) -> Result<()> {
    let key = place(topic, position);
    let Some(stored) = commit.bytes(EVENTS, &key)? else { return Ok(()) };
    let whose = publisher(&stored)?;
    if let Some(whose) = &whose {
        commit.changes.note(whose, UsageDelta { events: -1, ..UsageDelta::default() });
    }
    commit.delete_held(whose.as_ref(), EVENTS, &key)
}

/// Publishes events, in order.
pub(super) fn publish(
    commit: &mut WriteTx<'_, '_>,
    events: &[NewEvent],
    publisher: &Publisher,
    now: Timestamp,
) -> Result<()> {
    for NewEvent { id, topic, payload } in events {
        if payload.len() > EVENT_BYTES {
            return Err(StoreError::TooLarge(format!("an event's payload may have at most {EVENT_BYTES} bytes")));
        }
        let number = commit.position();
        let begin = number.saturating_mul(PLACES_PER_COMMIT);
        let mut head = match head(commit, topic)? {
            Some(head) => head,
            None => {
                self::begin(commit, topic, publisher)?;
                TopicRecord {
                    first: begin,
                    next: begin,
                    published: 0,
                    first_at: now,
                    last_at: now,
                    last_commit: number,
                }
            }
        };
        let at = now.max(head.last_at);
        let whose = publisher.deployment();
        commit.put_held(whose, EVENTS, &place(topic, head.next), &own(at, number, *id, publisher), payload)?;
        if let Some(whose) = whose {
            commit.changes.note(whose, UsageDelta { events: 1, ..UsageDelta::default() });
        }
        if head.first == head.next {
            head.first_at = at;
        }
        head.next += 1;
        head.published += 1;
        head.last_at = at;
        head.last_commit = number;
        put_head(commit, topic, &head)?;
        if !commit.caused.published.contains(topic) {
            commit.caused.published.push(topic.clone());
        }
    }
    Ok(())
}

/// The reservation of an event's idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct EventKeyRecord {
    event: EventId,
    /// The hash of the event's payload.
    payload: u128,
    until: Timestamp,
}

/// Publishes an event of a caller outside of any run.
pub(super) fn publish_once(
    commit: &mut WriteTx<'_, '_>,
    publish: &NewPublication,
    now: Timestamp,
) -> Result<PublishOutcome> {
    let NewPublication { event, key } = publish;
    if let Some(key) = key {
        if key.len() > KEY {
            return Err(StoreError::TooLarge(format!("an event's key may have at most {KEY} bytes")));
        }
        let name = under(event.topic.as_str(), key.as_bytes());
        let hash = xxh3_128(&event.payload);
        if let Some(known) = commit.record::<EventKeyRecord>(EVENT_KEYS, &name)?.filter(|known| known.until > now) {
            return match known.payload == hash {
                true => Ok(PublishOutcome::Duplicate(known.event)),
                false => Err(StoreError::EventKeyMismatch { event: known.event }),
            };
        }
        let until = now.plus_millis(KEY_MILLIS);
        commit.put_record(EVENT_KEYS, &name, &EventKeyRecord { event: event.id, payload: hash, until })?;
        commit.put(EVENT_KEY_ENDS, &at(until, &name), &[]);
    }
    self::publish(commit, std::slice::from_ref(event), &Publisher::Operator, now)?;
    Ok(PublishOutcome::Accepted)
}

/// Deletes one piece of the expired idempotency keys. Returns how many entries it processed.
pub(super) fn forget_keys(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<usize> {
    let old = commit.range(EVENT_KEY_ENDS, Vec::new()..at(now, &[]), false, PIECE)?;
    for (key, _) in &old {
        commit.delete(EVENT_KEY_ENDS, key);
        // If the key was used again, it expires later and stays.
        let name = key.get(8..).unwrap_or_default();
        if commit.record::<EventKeyRecord>(EVENT_KEYS, name)?.is_some_and(|known| known.until <= now) {
            commit.delete(EVENT_KEYS, name);
        }
    }
    Ok(old.len())
}

/// Returns events of a topic from a position on, in order.
pub(super) fn from(store: &impl ReadTx, topic: &Topic, position: u64, limit: usize) -> Result<Vec<StoredEvent>> {
    let range = place(topic, position)..place(topic, u64::MAX);
    let found = store.range(EVENTS, range, false, limit)?;
    found.iter().map(|(key, bytes)| StoredEvent::read(position_of(key)?, bytes)).collect()
}

fn position_of(key: &[u8]) -> Result<u64> {
    let position = key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    position.ok_or_else(|| StoreError::Damaged { what: "a key of table events is too short".into() })
}

/// Lists the events of a topic from a time on, oldest first.
pub(super) fn list(
    store: &impl ReadTx,
    topic: &Topic,
    since: Option<Timestamp>,
    page: &PageRequest,
) -> Result<Page<StoredEvent>> {
    let Some(head) = head(store, topic)? else { return Ok(Page::default()) };
    let start = match (&page.cursor, since) {
        (Some(cursor), _) => cursor.first_chunk::<8>().map_or(head.first, |bytes| u64::from_be_bytes(*bytes)),
        (None, Some(since)) => at_time(store, topic, &head, since)?,
        (None, None) => head.first,
    };
    let mut items = from(store, topic, start, page.limit.max(1) + 1)?;
    let mut bytes = 0;
    let fits = items.iter().take(page.limit.max(1)).take_while(|event| {
        bytes += event.payload.len();
        bytes <= PAGE_BYTES
    });
    let fits = fits.count().max(1);
    let next = items.get(fits).map(|next| next.position.to_be_bytes().to_vec());
    items.truncate(fits);
    Ok(Page { items, next })
}

/// Returns the position of the first event that satisfies `later`, by binary search; the next
/// position if there is none.
fn binary_search(
    store: &impl ReadTx,
    topic: &Topic,
    head: &TopicRecord,
    later: impl Fn(&StoredEvent) -> bool,
) -> Result<u64> {
    let (mut low, mut high) = (head.first, head.next);
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(bytes) = store.bytes(EVENTS, &place(topic, middle))? else {
            return Err(StoreError::Damaged { what: format!("an event of topic {topic} is missing") });
        };
        if later(&StoredEvent::read(middle, &bytes)?) { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Returns the position of the first event at or after a time.
pub(super) fn at_time(store: &impl ReadTx, topic: &Topic, head: &TopicRecord, time: Timestamp) -> Result<u64> {
    match (time <= head.first_at, time > head.last_at) {
        (true, _) => Ok(head.first),
        (_, true) => Ok(head.next),
        _ => binary_search(store, topic, head, |event| event.at >= time),
    }
}

/// Returns the position of the first event that was published after a commit.
pub(super) fn after_commit(store: &impl ReadTx, topic: &Topic, head: &TopicRecord, commit: u64) -> Result<u64> {
    match (commit, head.last_commit <= commit) {
        (0, _) => Ok(head.first),
        (_, true) => Ok(head.next),
        _ => binary_search(store, topic, head, |event| event.commit > commit),
    }
}

/// Lists all topics, sorted by name.
pub(super) fn topics(store: &impl ReadTx, page: &PageRequest) -> Result<Page<TopicSummary>> {
    store.page(TOPICS, &[], false, page)?.try_map(|(key, bytes)| {
        let head: TopicRecord = super::codec::decode(TOPICS, &bytes)?;
        Ok(summary(name(&key)?, &head))
    })
}

pub(super) fn summary(topic: Topic, head: &TopicRecord) -> TopicSummary {
    let events = head.next - head.first;
    TopicSummary {
        topic,
        events,
        published: head.published,
        first_at: (events > 0).then_some(head.first_at),
        last_at: head.last_at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = StoredEvent::read(1, &bytes);
        }
    }
}
