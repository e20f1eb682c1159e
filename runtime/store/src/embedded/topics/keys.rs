//! The idempotency keys of published events.

use serde::{Deserialize, Serialize};
use tidemill_core::{EventId, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::tables::{EVENT_KEY_ENDS, EVENT_KEYS, name_key, time_key};
use crate::embedded::throttle::PIECE;
use crate::embedded::topics::events;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{NewPublication, PublishOutcome, Publisher};

/// How long an idempotency key of an event is reserved, in milliseconds.
const KEY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// Maximum size of such a key, in bytes.
const KEY: usize = 512;

/// The reservation of an event's idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct EventKeyRecord {
    event: EventId,
    /// The hash of the event's payload.
    payload: u128,
    until: Timestamp,
}

/// Publishes an event of a caller outside of any run.
pub(crate) fn publish_once(
    commit: &mut WriteTx<'_, '_>,
    publish: &NewPublication,
    now: Timestamp,
) -> Result<PublishOutcome> {
    let NewPublication { event, key } = publish;
    if let Some(key) = key {
        if key.len() > KEY {
            return Err(StoreError::TooLarge(format!("an event's key may have at most {KEY} bytes")));
        }
        let name = name_key(event.topic.as_str(), key.as_bytes());
        let hash = xxh3_128(&event.payload);
        if let Some(known) = commit.record::<EventKeyRecord>(EVENT_KEYS, &name)?.filter(|known| known.until > now) {
            return match known.payload == hash {
                true => Ok(PublishOutcome::Duplicate(known.event)),
                false => Err(StoreError::EventKeyMismatch { event: known.event }),
            };
        }
        let until = now.plus_millis(KEY_MILLIS);
        commit.put_record(EVENT_KEYS, &name, &EventKeyRecord { event: event.id, payload: hash, until })?;
        commit.put(EVENT_KEY_ENDS, &time_key(until, &name), &[]);
    }
    events::publish(commit, std::slice::from_ref(event), &Publisher::Operator, now)?;
    Ok(PublishOutcome::Accepted)
}

/// Deletes one piece of the expired idempotency keys. Returns how many entries it processed.
pub(crate) fn forget_keys(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<usize> {
    let old = commit.range(EVENT_KEY_ENDS, Vec::new()..time_key(now, &[]), false, PIECE)?;
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
