//! The signals in the inbox of a run, in the order of arrival.

use tidemill_core::{RunId, Timestamp};

use crate::embedded::runs::record::RunRecord;
use crate::embedded::tables::{INBOX, placed};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};
use crate::records::{INBOX_RESERVE_SIGNALS, INBOX_SIGNALS};

/// A stored signal: time, length of the name and name, then the payload.
pub(crate) struct StoredSignal<'s> {
    stored: &'s [u8],
    own: usize,
    pub(crate) at: Timestamp,
    pub(crate) name: &'s str,
}

impl<'s> StoredSignal<'s> {
    pub(crate) fn own(at: Timestamp, name: &str) -> Vec<u8> {
        let mut own = Vec::with_capacity(9 + name.len());
        own.extend_from_slice(&at.as_millis().to_be_bytes());
        // `deliver` refuses names of more than 255 bytes.
        own.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        own.extend_from_slice(name.as_bytes());
        own
    }

    pub(crate) fn read(stored: &'s [u8]) -> Result<Self> {
        let read = || {
            let (at, rest) = value::own(stored)?.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first()?;
            let name = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
            Some(Self { stored, own: 9 + name.len(), at: Timestamp::from_millis(u64::from_be_bytes(*at)), name })
        };
        read().ok_or_else(|| StoreError::Damaged { what: "a signal cannot be read".into() })
    }

    pub(crate) fn payload(&self) -> Result<ValueRef> {
        Ok(value::read(INBOX, self.stored, self.own)?.0)
    }

    pub(crate) fn bytes(&self) -> Result<u64> {
        Ok((self.name.len() + self.payload()?.len()) as u64)
    }
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
        let stored = StoredSignal::read(&bytes)?;
        if stored.name == name {
            let place = key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            return Ok(Some((place, stored.at, stored.payload()?)));
        }
    }
    Ok(None)
}

/// Returns whether the inbox contains a signal with a name.
pub(crate) fn has(store: &impl ReadTx, id: RunId, name: &str) -> Result<bool> {
    Ok(first(store, id, name, None)?.is_some())
}

/// Removes signals from the inbox.
pub(crate) fn take(commit: &mut WriteTx<'_, '_>, record: &mut RunRecord, places: &[u64]) -> Result<()> {
    let RunRecord { run, counters } = record;
    for place in places {
        let key = placed(run.id, *place);
        let Some(stored) = commit.bytes(INBOX, &key)? else { continue };
        commit.delete_value(Some(&run.deployment), INBOX, &key)?;
        counters.signals = counters.signals.saturating_sub(1);
        counters.signal_bytes = counters.signal_bytes.saturating_sub(StoredSignal::read(&stored)?.bytes()?);
    }
    Ok(())
}
