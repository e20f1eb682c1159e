//! The stored failures of a run: the first ones and the newest ones, in order.

use tidemill_core::{Failure, RunId};

use crate::embedded::codec::decode;
use crate::embedded::tables::{FAILURES, placed};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{FAILURES_OF_RUN, FailedPart, FailureRecord, NumberedFailure};

/// Appends failures. Beyond the maximum, the oldest of the newer half is removed.
pub(crate) fn add(commit: &mut WriteTx<'_, '_>, id: RunId, failures: &[FailureRecord]) -> Result<()> {
    for failure in failures {
        let rows = commit.scan_prefix(FAILURES, &id.to_bytes(), FAILURES_OF_RUN)?;
        let next = rows.last().and_then(|(key, _)| number_of(key)).map_or(1, |last| last.saturating_add(1));
        if rows.len() >= FAILURES_OF_RUN
            && let Some((oldest, _)) = rows.get(FAILURES_OF_RUN / 2)
        {
            commit.delete(FAILURES, oldest);
        }
        commit.put_record(FAILURES, &placed(id, next), &failure.clone().bounded())?;
    }
    Ok(())
}

/// Returns all stored failures, in order.
pub(crate) fn list(store: &impl ReadTx, id: RunId) -> Result<Vec<NumberedFailure>> {
    let rows = store.scan_prefix(FAILURES, &id.to_bytes(), FAILURES_OF_RUN)?;
    rows.iter()
        .map(|(key, bytes)| {
            let number =
                number_of(key).ok_or_else(|| StoreError::Damaged { what: "a key of table failures".into() })?;
            Ok(NumberedFailure { number, record: decode(FAILURES, bytes)? })
        })
        .collect()
}

/// Returns the newest failure of a run if its part is the cancellation.
pub(crate) fn of_cancellation(store: &impl ReadTx, id: RunId) -> Result<Option<Failure>> {
    let range = prefix_range(&id.to_bytes());
    let Some((_, bytes)) = store.range(FAILURES, range, true, 1)?.into_iter().next() else { return Ok(None) };
    let record: FailureRecord = decode(FAILURES, &bytes)?;
    Ok((record.part == FailedPart::Cancellation).then_some(record.failure))
}

fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}
