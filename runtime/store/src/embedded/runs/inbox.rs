//! The inboxes of runs: signals in the order of arrival, until the run takes them.

use bytes::Bytes;
use tidemill_core::run::{Wait, WaitCondition};
use tidemill_core::{RunId, Timestamp};
use xxhash_rust::xxh3::Xxh3;

use crate::embedded::EmbeddedStore;
use crate::embedded::read_tx::{ReadTx, prefix_range};
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::waits;
use crate::embedded::tables::{INBOX, RUNS, SIGNAL_KEYS, placed};
use crate::embedded::value;
use crate::embedded::value::ValueRef;
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{
    INBOX_BYTES, INBOX_RESERVE_BYTES, INBOX_RESERVE_SIGNALS, INBOX_SIGNALS, InboxSignal, NewSignal, Page, PageRequest,
    SIGNAL_BYTES, SignalReceipt, UndeliveredSignal,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum size of a signal's name and of its key, in bytes.
const NAME: usize = 255;
const KEY: usize = 512;

/// A stored signal: time, length of the name and name, then the payload.
struct StoredSignal<'s> {
    stored: &'s [u8],
    own: usize,
    at: Timestamp,
    name: &'s str,
}

impl<'s> StoredSignal<'s> {
    fn own(at: Timestamp, name: &str) -> Vec<u8> {
        let mut own = Vec::with_capacity(9 + name.len());
        own.extend_from_slice(&at.as_millis().to_be_bytes());
        // `deliver` refuses names of more than 255 bytes.
        own.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        own.extend_from_slice(name.as_bytes());
        own
    }

    fn read(stored: &'s [u8]) -> Result<Self> {
        let read = || {
            let (at, rest) = value::own(stored)?.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first()?;
            let name = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
            Some(Self { stored, own: 9 + name.len(), at: Timestamp::from_millis(u64::from_be_bytes(*at)), name })
        };
        read().ok_or_else(|| StoreError::Damaged { what: "a signal cannot be read".into() })
    }

    fn payload(&self) -> Result<ValueRef> {
        Ok(value::read(INBOX, self.stored, self.own)?.0)
    }

    fn bytes(&self) -> Result<u64> {
        Ok((self.name.len() + self.payload()?.len()) as u64)
    }
}

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SignalDelivery {
    Stored,
    Duplicate,
    Ended,
}

/// Adds a signal to an inbox. `from` is the run that sends it; `None` for a caller outside of any
/// run.
pub(crate) fn deliver(
    commit: &mut WriteTx<'_, '_>,
    signal: &NewSignal,
    from: Option<RunId>,
    now: Timestamp,
) -> Result<SignalDelivery> {
    let mut kept = record::existing(commit, signal.to)?;
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
    if kept.run.state.has_ended() {
        return Ok(SignalDelivery::Ended);
    }
    let bytes = (signal.name.len() + signal.payload.len()) as u64;
    // A full inbox of unexpected signals must not block the signal that the run waits for.
    let awaited = is_awaited(commit, &kept, &signal.name)?;
    let (max, max_bytes) = if awaited {
        (INBOX_SIGNALS + INBOX_RESERVE_SIGNALS, INBOX_BYTES + INBOX_RESERVE_BYTES)
    } else {
        (INBOX_SIGNALS, INBOX_BYTES)
    };
    if kept.marks.signals >= max {
        return full("its inbox contains 1,000 signals");
    }
    if kept.marks.signal_bytes + bytes > max_bytes {
        return full("its inbox contains 1 MiB of signals");
    }
    let place = kept.marks.next_place;
    let own = StoredSignal::own(now, &signal.name);
    commit.put_held(Some(&kept.run.deployment), INBOX, &placed(signal.to, place), &own, &signal.payload)?;
    if let Some(key) = key {
        commit.put(SIGNAL_KEYS, &key, &print);
    }
    kept.marks.next_place += 1;
    kept.marks.signals += 1;
    kept.marks.signal_bytes += bytes;
    commit.put_record(RUNS, &signal.to.to_bytes(), &kept)?;
    waits::fulfil(commit, &kept, &WaitCondition::Signal(signal.name.clone()))?;
    Ok(SignalDelivery::Stored)
}

/// Returns whether the inbox is nearly full, the run waits for a signal with that name, and none is
/// in the inbox.
fn is_awaited(store: &impl ReadTx, kept: &RunRecord, name: &str) -> Result<bool> {
    let full = kept.marks.signals >= INBOX_SIGNALS || kept.marks.signal_bytes + SIGNAL_BYTES as u64 > INBOX_BYTES;
    let waits = |wait: &Wait| wait.any_of.iter().any(|thing| matches!(thing, WaitCondition::Signal(of) if of == name));
    // Only a nearly full inbox makes the search necessary.
    Ok(full && kept.run.waiting_for.as_ref().is_some_and(waits) && !has(store, kept.run.id, name)?)
}

/// Adds a signal of a caller outside of any run to an inbox.
pub(crate) fn signal(commit: &mut WriteTx<'_, '_>, signal: &NewSignal, now: Timestamp) -> Result<SignalReceipt> {
    Ok(match deliver(commit, signal, None, now)? {
        SignalDelivery::Stored => SignalReceipt::Accepted(commit.take_caused()),
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
            commit.caused.undelivered.push(UndeliveredSignal { to: signal.to, name: signal.name.clone() });
        }
    }
    Ok(())
}

/// Removes signals from the inbox.
pub(crate) fn take(commit: &mut WriteTx<'_, '_>, kept: &mut RunRecord, places: &[u64]) -> Result<()> {
    let RunRecord { run, marks } = kept;
    for place in places {
        let key = placed(run.id, *place);
        let Some(stored) = commit.bytes(INBOX, &key)? else { continue };
        commit.delete_held(Some(&run.deployment), INBOX, &key)?;
        marks.signals = marks.signals.saturating_sub(1);
        marks.signal_bytes = marks.signal_bytes.saturating_sub(StoredSignal::read(&stored)?.bytes()?);
    }
    Ok(())
}

/// Returns the first signal with a name after a position.
pub(crate) async fn first_signal(
    store: &EmbeddedStore,
    id: RunId,
    name: &str,
    after: Option<u64>,
) -> Result<Option<InboxSignal>> {
    let lease = store.lease();
    let Some((place, at, payload)) = first(&store.kv, id, name, after)? else { return Ok(None) };
    Ok(Some(InboxSignal { place, name: name.to_owned(), payload: store.value(lease, payload).await?, at }))
}

/// Returns position, time and payload of the first signal with a name after a position.
pub(crate) fn first(
    store: &impl ReadTx,
    id: RunId,
    name: &str,
    after: Option<u64>,
) -> Result<Option<(u64, Timestamp, ValueRef)>> {
    let mut range = prefix_range(&id.to_bytes());
    if let Some(after) = after {
        range.start = placed(id, after.saturating_add(1));
    }
    for (key, bytes) in store.range(INBOX, range, false, (INBOX_SIGNALS + INBOX_RESERVE_SIGNALS) as usize)? {
        let lying = StoredSignal::read(&bytes)?;
        if lying.name == name {
            let place = key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            return Ok(Some((place, lying.at, lying.payload()?)));
        }
    }
    Ok(None)
}

/// Lists the signals of an inbox, in the order of arrival.
pub(crate) async fn signals(store: &EmbeddedStore, id: RunId, page: &PageRequest) -> Result<Page<InboxSignal>> {
    let lease = store.lease();
    let found = store.kv.page(INBOX, &id.to_bytes(), false, page)?;
    let mut signals = Page { items: Vec::with_capacity(found.items.len()), next: found.next };
    let mut held = Vec::with_capacity(found.items.len());
    for (key, bytes) in &found.items {
        let lying = StoredSignal::read(bytes)?;
        let place = key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        held.push(lying.payload()?);
        signals.items.push(InboxSignal { place, name: lying.name.to_owned(), payload: Bytes::new(), at: lying.at });
    }
    for (signal, payload) in signals.items.iter_mut().zip(store.values(lease, held).await?) {
        signal.payload = payload;
    }
    Ok(signals)
}

/// Deletes the signal at a position. Returns whether there was one.
pub(crate) fn drop_one(commit: &mut WriteTx<'_, '_>, id: RunId, place: u64) -> Result<bool> {
    let mut kept = record::existing(commit, id)?;
    let before = kept.marks.signals;
    take(commit, &mut kept, &[place])?;
    let dropped = kept.marks.signals != before;
    if dropped {
        commit.put_record(RUNS, &id.to_bytes(), &kept)?;
    }
    Ok(dropped)
}

/// Returns whether the inbox contains a signal with a name.
pub(crate) fn has(store: &impl ReadTx, id: RunId, name: &str) -> Result<bool> {
    Ok(first(store, id, name, None)?.is_some())
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
