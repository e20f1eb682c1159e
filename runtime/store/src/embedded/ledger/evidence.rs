//! How long the evidence of entries is kept: the deliveries that their runs processed, and the
//! recorded answers, which are in the journals of their runs.
//!
//! The commit of an entry notes until when. When retention removes such a run, its journal stays;
//! when it would remove such a delivery, the delivery stays. Both get a row under the time of their
//! deletion, so that no later pass of retention reads evidence that is not due.
//!
//! The digests are on the entries, for ever.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeliveryId, DeploymentName, RunId, Timestamp};

use crate::embedded::deliveries::{expiry, keys as delivery_keys, progress};
use crate::embedded::ledger::keys::unreadable;
use crate::embedded::tables::{JOURNAL, LEDGER_EVIDENCE, time_key, time_of};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::NewEntry;

/// What precedes a run in a key.
const RUN: u8 = 0;
/// What precedes a delivery in a key.
const DELIVERY: u8 = 1;
/// What precedes the time of a deletion, then [`RUN`] or [`DELIVERY`] and its id.
const ENDS: u8 = 2;

/// The evidence in one run or delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvidenceRecord {
    /// It is kept until this time.
    pub(crate) until: Timestamp,
    /// The journal of a run that retention has removed.
    pub(crate) journal: Option<KeptJournal>,
}

/// The journal of a run without a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptJournal {
    /// The deployment, to whose usage it counts.
    pub(crate) deployment: DeploymentName,
    /// The number of its chunks.
    pub(crate) chunks: u32,
}

fn of_run(run: RunId) -> Vec<u8> {
    [&[RUN][..], &run.to_bytes()].concat()
}

fn of_delivery(id: DeliveryId) -> Vec<u8> {
    [&[DELIVERY][..], &id.to_bytes()].concat()
}

fn end(until: Timestamp, of: &[u8]) -> Vec<u8> {
    [&[ENDS][..], &time_key(until, of)].concat()
}

/// Notes until when the evidence of the entries of a run is kept.
pub(crate) fn note(commit: &mut WriteTx<'_, '_>, run: RunId, entries: &[NewEntry], until: Timestamp) -> Result<()> {
    let record = EvidenceRecord { until, journal: None };
    if entries.iter().any(|entry| !entry.evidence.responses.is_empty()) {
        commit.put_record(LEDGER_EVIDENCE, &of_run(run), &record)?;
    }
    // All entries of a run have the delivery that it processes.
    let delivery = entries.iter().find_map(|entry| entry.evidence.delivery.as_ref());
    if let Some(id) = delivery.and_then(|id| id.parse().ok()) {
        commit.put_record(LEDGER_EVIDENCE, &of_delivery(id), &record)?;
    }
    Ok(())
}

/// Returns whether the journal of a run that is removed stays, and notes it.
pub(crate) fn keep_journal(
    commit: &mut WriteTx<'_, '_>,
    run: RunId,
    deployment: &DeploymentName,
    chunks: u32,
) -> Result<bool> {
    let key = of_run(run);
    let Some(record) = commit.record::<EvidenceRecord>(LEDGER_EVIDENCE, &key)? else { return Ok(false) };
    commit.put(LEDGER_EVIDENCE, &end(record.until, &key), &[]);
    let journal = Some(KeptJournal { deployment: deployment.clone(), chunks });
    commit.put_record(LEDGER_EVIDENCE, &key, &EvidenceRecord { journal, ..record })?;
    Ok(true)
}

/// Returns the number of chunks of the journal of a run without a record.
pub(crate) fn kept_chunks(store: &impl ReadTx, run: RunId) -> Result<u32> {
    let record: Option<EvidenceRecord> = store.record(LEDGER_EVIDENCE, &of_run(run))?;
    Ok(record.and_then(|record| record.journal).map_or(0, |journal| journal.chunks))
}

/// Returns whether a delivery whose time is over stays, and notes it.
pub(crate) fn keep_delivery(commit: &mut WriteTx<'_, '_>, id: DeliveryId) -> Result<bool> {
    let key = of_delivery(id);
    let Some(record) = commit.record::<EvidenceRecord>(LEDGER_EVIDENCE, &key)? else { return Ok(false) };
    commit.put(LEDGER_EVIDENCE, &end(record.until, &key), &[]);
    Ok(true)
}

/// Whether evidence is due to be deleted at `now`.
pub(crate) fn is_due(store: &impl ReadTx, now: Timestamp) -> Result<bool> {
    let first = store.scan_prefix(LEDGER_EVIDENCE, &[ENDS], 1)?;
    Ok(first.first().and_then(|(key, _)| time_of(key.get(1..)?)).is_some_and(|end| end <= now))
}

/// Deletes the evidence that is due at `now`, within at most `rows` rows. Returns the number of
/// runs and deliveries.
pub(crate) fn remove_due(commit: &mut WriteTx<'_, '_>, now: Timestamp, rows: usize) -> Result<usize> {
    let until = end(now.plus_millis(1), &[]);
    let (mut left, mut removed) = (rows, 0);
    for (row, _) in commit.range(LEDGER_EVIDENCE, vec![ENDS]..until, false, rows.div_ceil(8))? {
        let key = row.get(9..).ok_or_else(unreadable)?.to_vec();
        match key.split_first() {
            Some((&RUN, id)) => {
                let run = RunId::from_bytes(id.try_into().map_err(|_| unreadable())?);
                if !remove_journal(commit, run, &mut left)? {
                    return Ok(removed);
                }
                commit.delete(LEDGER_EVIDENCE, &key);
            }
            Some((&DELIVERY, _)) => {
                let id = delivery_keys::delivery_at_end(&key).ok_or_else(unreadable)?;
                remove_delivery(commit, id, &key, now)?;
                left = left.saturating_sub(8);
            }
            _ => return Err(unreadable()),
        }
        commit.delete(LEDGER_EVIDENCE, &row);
        removed += 1;
        if left == 0 {
            break;
        }
    }
    Ok(removed)
}

/// Removes the journal of a run within `left` rows. Returns whether all of it is gone.
fn remove_journal(commit: &mut WriteTx<'_, '_>, run: RunId, left: &mut usize) -> Result<bool> {
    let record: Option<EvidenceRecord> = commit.record(LEDGER_EVIDENCE, &of_run(run))?;
    let Some(KeptJournal { deployment, .. }) = record.and_then(|record| record.journal) else { return Ok(true) };
    let rows = commit.scan_prefix(JOURNAL, &run.to_bytes(), *left)?;
    for (key, _) in &rows {
        commit.delete_value(Some(&deployment), JOURNAL, key)?;
    }
    *left -= rows.len();
    Ok(*left > 0)
}

/// Removes a delivery, unless it was replayed and is evidence for longer.
fn remove_delivery(commit: &mut WriteTx<'_, '_>, id: DeliveryId, key: &[u8], now: Timestamp) -> Result<()> {
    let record: Option<EvidenceRecord> = commit.record(LEDGER_EVIDENCE, key)?;
    if record.is_some_and(|record| record.until > now) {
        // The latest outcome has a row by the time at which retention looks at it again.
        return Ok(());
    }
    commit.delete(LEDGER_EVIDENCE, key);
    let Some(delivery) = progress::find(commit, id)? else { return Ok(()) };
    let progress = progress::get(commit, &delivery.deployment, id)?;
    // A delivery that was replayed has a row of its own again, and goes with it.
    let settled = progress.and_then(|progress| progress.settled_at);
    match settled {
        Some(at) if !expiry::is_settled(commit, id, at)? => expiry::delete_one(commit, id),
        _ => Ok(()),
    }
}
