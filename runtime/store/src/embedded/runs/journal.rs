//! A run's journal and replay snapshot: bytes that only the engine interprets.

use std::ops::Range;

use bytes::Bytes;
use tidemill_core::journal::JournalChange;
use tidemill_core::{RunId, batch};

use crate::embedded::ledger::evidence;
use crate::embedded::runs::record::{self, RunRecord};
use crate::embedded::tables::{JOURNAL, REPLAY_SNAPSHOTS, chunk};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};

/// Applies a change to the stored journal: chunk `from + i` becomes `chunks[i]`, and later chunks
/// are removed.
pub(crate) fn change(commit: &mut WriteTx<'_, '_>, record: &mut RunRecord, change: &JournalChange) -> Result<()> {
    let RunRecord { run, counters } = record;
    let (id, whose) = (run.id, Some(&run.deployment));
    let end = u32::try_from(change.chunks.len()).ok().and_then(|added| change.from.checked_add(added));
    let (Some(end), true) = (end, change.from <= counters.chunks) else {
        let what = format!(
            "the journal of run {id} has {} chunks, so a change cannot start at chunk {}",
            counters.chunks, change.from
        );
        return Err(StoreError::IllegalTransition(what));
    };
    for (at, bytes) in (change.from..end).zip(&change.chunks) {
        commit.put_value(whose, JOURNAL, &chunk(id, at), &[], bytes)?;
    }
    for at in end..counters.chunks {
        commit.delete_value(whose, JOURNAL, &chunk(id, at))?;
    }
    counters.chunks = end;
    Ok(())
}

/// Writes the replay snapshot, or removes it if `snapshot` is `None`.
pub(crate) fn set_snapshot(
    commit: &mut WriteTx<'_, '_>,
    record: &mut RunRecord,
    snapshot: Option<&Bytes>,
) -> Result<()> {
    let RunRecord { run, counters } = record;
    let (id, whose) = (run.id, Some(&run.deployment));
    match snapshot {
        Some(snapshot) => commit.put_value(whose, REPLAY_SNAPSHOTS, &id.to_bytes(), &[], snapshot)?,
        None if counters.snapshot => commit.delete_value(whose, REPLAY_SNAPSHOTS, &id.to_bytes())?,
        None => {}
    }
    counters.snapshot = snapshot.is_some();
    Ok(())
}

/// Maximum number of chunks in one part. Chunks in records are small; only those in payload files
/// are large.
const PART: u32 = 64;

/// Returns the chunks of a journal and the replay snapshot from `store`, which must show one
/// moment.
pub(crate) fn read(store: &impl ReadTx, id: RunId) -> Result<(Vec<ValueRef>, Option<ValueRef>)> {
    let Some(record) = record::find(store, id)? else { return Ok((Vec::new(), None)) };
    let chunks = chunks(store, id, 0..record.counters.chunks)?;
    if !record.counters.snapshot {
        return Ok((chunks, None));
    }
    let missing = || StoreError::Damaged { what: format!("the replay snapshot of run {id} is missing") };
    let snapshot = value::alone(store, REPLAY_SNAPSHOTS, &id.to_bytes())?.ok_or_else(missing)?;
    Ok((chunks, Some(snapshot)))
}

/// Returns the chunks from `from` on, up to the chunk that brings the total to `limit` bytes.
pub(crate) fn part(store: &impl ReadTx, id: RunId, from: u32, limit: u64) -> Result<Vec<ValueRef>> {
    let count = match record::find(store, id)? {
        Some(record) => record.counters.chunks,
        // The journal of a removed run may be evidence of its entries.
        None => evidence::kept_chunks(store, id)?,
    };
    let mut chunks = chunks(store, id, from..count.min(from.saturating_add(PART)))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    chunks.truncate(batch::head(&chunks, usize::MAX, limit, ValueRef::len));
    Ok(chunks)
}

/// Returns the chunks with these numbers, all of which must exist.
fn chunks(store: &impl ReadTx, id: RunId, numbers: Range<u32>) -> Result<Vec<ValueRef>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let found = store.range(JOURNAL, chunk(id, numbers.start)..chunk(id, numbers.end), false, usize::MAX)?;
    if !numbers.map(|at| chunk(id, at)).eq(found.iter().map(|(key, _)| key.to_vec())) {
        return Err(StoreError::Damaged { what: format!("the journal of run {id} is incomplete") });
    }
    found.iter().map(|(_, bytes)| Ok(value::read(JOURNAL, bytes, 0)?.0)).collect()
}
