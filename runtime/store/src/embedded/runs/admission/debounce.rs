//! Debouncing: several requests become one run. While the run waits, each newer request replaces
//! its input and postpones its start. When the run is due, the next request creates another run.

use serde::{Deserialize, Serialize};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{RunId, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::budgets::fuel;
use crate::embedded::runs::admission::lanes;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{RunKeyRecord, index, record};
use crate::embedded::tables::{DEBOUNCES, INPUTS, KEY_ENDS, KEYS, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::NewRun;

/// The run that new requests join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct DebounceRecord {
    run: RunId,
    /// When it starts at the latest.
    until: Timestamp,
}

fn row(run: &Run, hash: u128) -> Vec<u8> {
    name_key(run.deployment.as_str(), &hash.to_be_bytes())
}

/// Creates the record of a request's own run. If the deployment debounces, the run waits for newer
/// requests.
pub(crate) fn opened(commit: &mut WriteTx<'_, '_>, new: &NewRun) -> Result<RunRecord> {
    let mut record = RunRecord::new(new.to_run());
    if let Some(debounce) = &new.terms.debounce {
        let not_before = new.not_before.max(new.now.plus_millis(debounce.wait_millis));
        record.run.state = RunState::Queued { not_before };
        let hash = xxh3_128(debounce.key.as_bytes());
        record.counters.debounce_hash = Some(hash);
        let until = not_before.max(new.now.plus_millis(debounce.max_wait_millis));
        commit.put_record(DEBOUNCES, &row(&record.run, hash), &DebounceRecord { run: new.id, until })?;
    }
    Ok(record)
}

/// Joins a request to the run that waits for it, if there is one.
pub(crate) fn join(commit: &mut WriteTx<'_, '_>, new: &NewRun) -> Result<Option<Run>> {
    let Some(debounce) = &new.terms.debounce else { return Ok(None) };
    let newest = new.to_run();
    let hash = xxh3_128(debounce.key.as_bytes());
    let Some(open) = commit.record::<DebounceRecord>(DEBOUNCES, &row(&newest, hash))? else { return Ok(None) };
    let Some(before) = record::find(commit, open.run)?.filter(|record| waits_for_more(record, new.now)) else {
        return Ok(None);
    };
    lanes::check(&newest)?;
    let mut after = before.clone();
    let not_before = new.not_before.max(new.now.plus_millis(debounce.wait_millis)).min(open.until);
    after.run = Run {
        id: before.run.id,
        state: RunState::Queued { not_before },
        key: before.run.key.clone(),
        key_millis: before.run.key_millis.max(newest.key_millis),
        created_at: before.run.created_at,
        seed: before.run.seed,
        ..newest
    };
    if let Some(key) = new.key.as_ref().filter(|key| before.run.key.as_ref() != Some(key)) {
        let name = name_key(new.deployment.as_str(), key.as_bytes());
        let reserved = RunKeyRecord { run: open.run, input: xxh3_128(&new.input), until: None };
        commit.put_record(KEYS, &name, &reserved)?;
        commit.put(KEY_ENDS, &time_key(open.until.plus_millis(new.terms.key_millis), &name), &[]);
    }
    commit.delete_value(Some(&new.deployment), INPUTS, &open.run.to_bytes())?;
    if !new.input.is_empty() {
        commit.put_value(Some(&new.deployment), INPUTS, &open.run.to_bytes(), &[], &new.input)?;
    }
    fuel::request(commit, &mut after, new)?;
    index::reindex(commit, &before.run, &after, new.now)?;
    Ok(Some(after.run))
}

/// Returns whether newer requests can join the run until it is due.
pub(crate) fn accepts_requests(record: &RunRecord) -> bool {
    let queued = matches!(record.run.state, RunState::Queued { .. });
    let fresh = record.run.started_at.is_none() && record.run.attempt == 1 && record.run.cancel.is_none();
    queued && fresh && record.counters.debounce_hash.is_some()
}

fn waits_for_more(record: &RunRecord, now: Timestamp) -> bool {
    accepts_requests(record) && matches!(record.run.state, RunState::Queued { not_before } if not_before > now)
}

/// Stops newer requests from joining a run, which is no longer queued.
pub(crate) fn closed(commit: &mut WriteTx<'_, '_>, record: &RunRecord) -> Result<()> {
    let Some(hash) = record.counters.debounce_hash else { return Ok(()) };
    let row = row(&record.run, hash);
    if commit.record::<DebounceRecord>(DEBOUNCES, &row)?.is_some_and(|open| open.run == record.run.id) {
        commit.delete(DEBOUNCES, &row);
    }
    Ok(())
}
