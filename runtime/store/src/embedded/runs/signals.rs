//! Delivers signals to the inboxes of runs.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::run::{Wait, WaitCondition};
use tidemill_core::{RunId, Timestamp};
use xxhash_rust::xxh3::Xxh3;

use crate::embedded::runs::inbox::{self, StoredSignal};
use crate::embedded::runs::index;
use crate::embedded::runs::record::{self, RunRecord};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{INBOX, RUNS, SIGNAL_KEYS, placed};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::value;
use crate::error::{Result, StoreError};
use crate::records::{
    INBOX_BYTES, INBOX_RESERVE_BYTES, INBOX_RESERVE_SIGNALS, INBOX_SIGNALS, InboxSignal, NewSignal, Page, PageRequest,
    SIGNAL_BYTES, SignalReceipt, UndeliveredSignal,
};
use crate::traits::SignalStore;

/// Maximum size of a signal's name and of its key, in bytes.
const NAME: usize = 255;
const KEY: usize = 512;

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum SignalDelivery {
    Stored,
    Duplicate,
    Ended,
}

#[async_trait]
impl SignalStore for EmbeddedStore {
    async fn signal(&self, signal: NewSignal, now: Timestamp) -> Result<SignalReceipt> {
        self.commit_with(value::long([&signal.payload]), move |c| self::signal(c, &signal, now)).await
    }

    async fn inbox(&self, id: RunId, name: &str, after: Option<u64>) -> Result<Option<InboxSignal>> {
        let lease = self.lease();
        let Some((place, at, payload)) = inbox::first(self.latest(), id, name, after)? else { return Ok(None) };
        Ok(Some(InboxSignal { place, name: name.to_owned(), payload: self.value(lease, payload).await?, at }))
    }

    async fn signals(&self, id: RunId, page: PageRequest) -> Result<Page<InboxSignal>> {
        let lease = self.lease();
        let found = self.latest().page(INBOX, &id.to_bytes(), false, &page)?;
        let mut signals = Page { items: Vec::with_capacity(found.items.len()), next: found.next };
        let mut held = Vec::with_capacity(found.items.len());
        for (key, bytes) in &found.items {
            let stored = StoredSignal::read(bytes)?;
            let place = key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            held.push(stored.payload()?);
            signals.items.push(InboxSignal {
                place,
                name: stored.name.to_owned(),
                payload: Bytes::new(),
                at: stored.at,
            });
        }
        for (signal, payload) in signals.items.iter_mut().zip(self.values(lease, held).await?) {
            signal.payload = payload;
        }
        Ok(signals)
    }

    async fn drop_signal(&self, id: RunId, place: u64) -> Result<bool> {
        let drop = move |c: &mut WriteTx<'_, '_>| {
            let mut record = record::get(c, id)?;
            let before = record.counters.signals;
            inbox::take(c, &mut record, &[place])?;
            let dropped = record.counters.signals != before;
            if dropped {
                c.put_record(RUNS, &id.to_bytes(), &record)?;
            }
            Ok(dropped)
        };
        self.commit(drop).await
    }
}

/// Adds a signal to an inbox. `from` is the run that sends it; `None` for a caller outside of any
/// run.
fn deliver(
    commit: &mut WriteTx<'_, '_>,
    signal: &NewSignal,
    from: Option<RunId>,
    now: Timestamp,
) -> Result<SignalDelivery> {
    let mut record = record::get(commit, signal.to)?;
    let full = |what: &str| Err(StoreError::InboxFull { run: signal.to, what: what.to_owned() });
    if signal.name.is_empty() || signal.name.len() > NAME {
        return full("a signal's name must have 1 to 255 bytes");
    }
    if signal.payload.len() > SIGNAL_BYTES {
        return full("a signal's payload may have at most 64 KiB");
    }
    if signal.key.as_ref().is_some_and(|key| key.len() > KEY) {
        return full("a signal's key may have at most 512 bytes");
    }
    let key = signal.key.as_ref().map(|key| seen(signal.to, from, key));
    let print = fingerprint(signal, from);
    if let Some(key) = &key
        && let Some(known) = commit.bytes(SIGNAL_KEYS, key)?
    {
        // An empty fingerprint was written by a run, or before fingerprints were stored.
        return if known.is_empty() || *known == *print {
            Ok(SignalDelivery::Duplicate)
        } else {
            Err(StoreError::SignalKeyMismatch { run: signal.to })
        };
    }
    if record.run.state.has_ended() {
        return Ok(SignalDelivery::Ended);
    }
    let bytes = (signal.name.len() + signal.payload.len()) as u64;
    // A full inbox of unexpected signals must not block the signal that the run waits for.
    let awaited = is_awaited(commit, &record, &signal.name)?;
    let (max, max_bytes) = if awaited {
        (INBOX_SIGNALS + INBOX_RESERVE_SIGNALS, INBOX_BYTES + INBOX_RESERVE_BYTES)
    } else {
        (INBOX_SIGNALS, INBOX_BYTES)
    };
    if record.counters.signals >= max {
        return full("its inbox contains 1,000 signals");
    }
    if record.counters.signal_bytes + bytes > max_bytes {
        return full("its inbox contains 1 MiB of signals");
    }
    let place = record.counters.next_place;
    let own = StoredSignal::own(now, &signal.name);
    commit.put_value(Some(&record.run.deployment), INBOX, &placed(signal.to, place), &own, &signal.payload)?;
    if let Some(key) = key {
        commit.put(SIGNAL_KEYS, &key, &print);
    }
    record.counters.next_place += 1;
    record.counters.signals += 1;
    record.counters.signal_bytes += bytes;
    commit.put_record(RUNS, &signal.to.to_bytes(), &record)?;
    index::fulfil(commit, &record, &WaitCondition::Signal(signal.name.clone()))?;
    Ok(SignalDelivery::Stored)
}

/// Returns whether the inbox is nearly full, the run waits for a signal with that name, and none is
/// in the inbox.
fn is_awaited(store: &impl ReadTx, record: &RunRecord, name: &str) -> Result<bool> {
    let full =
        record.counters.signals >= INBOX_SIGNALS || record.counters.signal_bytes + SIGNAL_BYTES as u64 > INBOX_BYTES;
    let waits = |wait: &Wait| wait.any_of.iter().any(|thing| matches!(thing, WaitCondition::Signal(of) if of == name));
    // Only a nearly full inbox makes the search necessary.
    Ok(full && record.run.waiting_for.as_ref().is_some_and(waits) && !inbox::has(store, record.run.id, name)?)
}

/// Adds a signal of a caller outside of any run to an inbox.
fn signal(commit: &mut WriteTx<'_, '_>, signal: &NewSignal, now: Timestamp) -> Result<SignalReceipt> {
    Ok(match deliver(commit, signal, None, now)? {
        SignalDelivery::Stored => SignalReceipt::Accepted(commit.take_effects()),
        SignalDelivery::Duplicate => SignalReceipt::Duplicate,
        SignalDelivery::Ended => SignalReceipt::Ended,
    })
}

/// Sends the signals of a transaction.
pub(crate) fn send(commit: &mut WriteTx<'_, '_>, from: RunId, signals: &[NewSignal], now: Timestamp) -> Result<()> {
    for signal in signals {
        let gone = match deliver(commit, signal, Some(from), now) {
            Ok(delivered) => delivered == SignalDelivery::Ended,
            Err(StoreError::NotFound { .. }) => true,
            Err(error) => return Err(error),
        };
        if gone {
            commit.effects.undelivered.push(UndeliveredSignal { to: signal.to, name: signal.name.clone() });
        }
    }
    Ok(())
}

/// Returns the hash of name and payload, which distinguishes a caller's signals with the same key.
/// A run's signals have an empty one: their keys are positions of the journal, and replay checks
/// those.
fn fingerprint(signal: &NewSignal, from: Option<RunId>) -> Vec<u8> {
    if from.is_some() {
        return Vec::new();
    }
    let mut hash = Xxh3::new();
    hash.update(signal.name.as_bytes());
    hash.update(&[0]);
    hash.update(&signal.payload);
    hash.digest128().to_be_bytes().to_vec()
}

fn seen(to: RunId, from: Option<RunId>, key: &str) -> Vec<u8> {
    let mut seen = to.to_bytes().to_vec();
    match from {
        Some(from) => {
            seen.push(b'r');
            seen.extend_from_slice(&from.to_bytes());
        }
        None => seen.push(b'c'),
    }
    seen.extend_from_slice(key.as_bytes());
    seen
}
