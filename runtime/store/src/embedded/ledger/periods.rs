//! Closed periods. An entry that occurred before the end of the last closed period is late: it is
//! booked when it is posted, so that no statement of a closed period changes.
//!
//! Periods are closed in the order of time. Closing one closes everything before it.

use tidemill_core::Timestamp;

use crate::embedded::ledger::entries;
use crate::embedded::tables::{LEDGER_PERIODS, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{ClosedPeriod, Page, PageRequest};

/// The key of the end of the last closed period.
const UNTIL: &[u8] = b"until";
/// What precedes the key of a closed period.
const PERIOD: u8 = 0;

/// Returns the end of the last closed period; 1970 if none is closed.
pub(crate) fn closed_until(store: &impl ReadTx) -> Result<Timestamp> {
    Ok(store.record(LEDGER_PERIODS, UNTIL)?.unwrap_or_default())
}

/// Closes a period. Closing it again returns what was stored.
pub(crate) fn close(commit: &mut WriteTx<'_, '_>, period: &ClosedPeriod, now: Timestamp) -> Result<ClosedPeriod> {
    let key = key(period);
    if let Some(stored) = commit.record(LEDGER_PERIODS, &key)? {
        return Ok(stored);
    }
    let until = closed_until(commit)?;
    if period.end > now || period.end <= until {
        return Err(StoreError::IllegalTransition(format!("period {} cannot be closed", period.name)));
    }
    let closed = ClosedPeriod { closed_at: now, sequence: entries::head(commit)?.head.sequence, ..period.clone() };
    commit.put_record(LEDGER_PERIODS, &key, &closed)?;
    commit.put_record(LEDGER_PERIODS, UNTIL, &period.end)?;
    Ok(closed)
}

/// Lists closed periods, the latest first.
pub(crate) fn page(store: &impl ReadTx, page: &PageRequest) -> Result<Page<ClosedPeriod>> {
    store.record_page(LEDGER_PERIODS, &[PERIOD], true, page)
}

fn key(period: &ClosedPeriod) -> Vec<u8> {
    let name = name_key(&period.name, period.time_zone.as_bytes());
    [&[PERIOD][..], &time_key(period.end, &name)].concat()
}
