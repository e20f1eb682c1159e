//! Topics: ordered events with consecutive positions, found by position, by commit and by time.
//!
//! Positions have no gaps, and times and commits never decrease within a topic, so a binary search
//! finds all three. A topic that is deleted and published to again starts after every position that
//! it ever had.

use bytes::Bytes;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::{DeploymentName, EventId, RunId, Timestamp, Topic};

use crate::embedded::blobs::ReadLease;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{EVENTS, name_key};
use crate::embedded::topics::{TopicRecord, record};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::usage::UsageDelta;
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};
use crate::records::{Event, NewEvent, Page, PageRequest, Publisher};

/// A new topic starts at the number of its commit times this, which exceeds the number of events in
/// one commit.
const PLACES_PER_COMMIT: u64 = 1 << 16;
/// Maximum size of the payloads in one page, in bytes. A page contains at least one event.
const PAGE_BYTES: usize = 4 << 20;

/// A stored event. Its payload may be in a payload file.
pub(crate) struct StoredEvent {
    pub(crate) position: u64,
    pub(crate) at: Timestamp,
    pub(crate) commit: u64,
    pub(crate) id: EventId,
    pub(crate) publisher: Publisher,
    pub(crate) payload: ValueRef,
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

pub(crate) fn place(topic: &Topic, position: u64) -> Vec<u8> {
    name_key(topic.as_str(), &position.to_be_bytes())
}

/// Returns the deployment whose run published a stored event.
pub(crate) fn publisher(stored: &[u8]) -> Result<Option<DeploymentName>> {
    Ok(StoredEvent::read(0, stored)?.publisher.deployment().cloned())
}

/// Deletes an event, if it exists.
pub(crate) fn delete_event(commit: &mut WriteTx<'_, '_>, topic: &Topic, position: u64) -> Result<()> {
    let key = place(topic, position);
    let Some(stored) = commit.bytes(EVENTS, &key)? else { return Ok(()) };
    let whose = publisher(&stored)?;
    if let Some(whose) = &whose {
        commit.changes.note(whose, UsageDelta { events: -1, ..UsageDelta::default() });
    }
    commit.delete_value(whose.as_ref(), EVENTS, &key)
}

/// Publishes events, in order.
pub(crate) fn publish(
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
        let mut head = match record::head(commit, topic)? {
            Some(head) => head,
            None => {
                record::begin(commit, topic, publisher)?;
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
        commit.put_value(whose, EVENTS, &place(topic, head.next), &own(at, number, *id, publisher), payload)?;
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
        record::put_head(commit, topic, &head)?;
        if !commit.effects.published.contains(topic) {
            commit.effects.published.push(topic.clone());
        }
    }
    Ok(())
}

/// Returns events of a topic from a position on, in order.
pub(crate) fn from(store: &impl ReadTx, topic: &Topic, position: u64, limit: usize) -> Result<Vec<StoredEvent>> {
    let range = place(topic, position)..place(topic, u64::MAX);
    let found = store.range(EVENTS, range, false, limit)?;
    found.iter().map(|(key, bytes)| StoredEvent::read(position_of(key)?, bytes)).collect()
}

fn position_of(key: &[u8]) -> Result<u64> {
    let position = key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    position.ok_or_else(|| StoreError::Damaged { what: "a key of table events is too short".into() })
}

/// Lists the events of a topic from a time on, oldest first.
pub(crate) fn list(
    store: &impl ReadTx,
    topic: &Topic,
    since: Option<Timestamp>,
    page: &PageRequest,
) -> Result<Page<StoredEvent>> {
    let Some(head) = record::head(store, topic)? else { return Ok(Page::default()) };
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
/// position if no event does.
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
pub(crate) fn at_time(store: &impl ReadTx, topic: &Topic, head: &TopicRecord, time: Timestamp) -> Result<u64> {
    match (time <= head.first_at, time > head.last_at) {
        (true, _) => Ok(head.first),
        (_, true) => Ok(head.next),
        _ => binary_search(store, topic, head, |event| event.at >= time),
    }
}

/// Returns the position of the first event that was published after a commit.
pub(crate) fn after_commit(store: &impl ReadTx, topic: &Topic, head: &TopicRecord, commit: u64) -> Result<u64> {
    match (commit, head.last_commit <= commit) {
        (0, _) => Ok(head.first),
        (_, true) => Ok(head.next),
        _ => binary_search(store, topic, head, |event| event.commit > commit),
    }
}

/// Reads the payloads of events. `lease` was taken before the events were read.
pub(crate) async fn with_payloads(
    store: &EmbeddedStore,
    lease: ReadLease,
    topic: &Topic,
    found: Vec<StoredEvent>,
) -> Result<Vec<Event>> {
    let mut values = Vec::with_capacity(found.len());
    let mut events = Vec::with_capacity(found.len());
    for StoredEvent { position, at, id, publisher, payload, .. } in found {
        values.push(payload);
        events.push(Event { id, topic: topic.clone(), position, at, publisher, payload: Bytes::new() });
    }
    let payloads = store.values(lease, values).await?;
    Ok(events.into_iter().zip(payloads).map(|(event, payload)| Event { payload, ..event }).collect())
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
