//! Requests runs: of callers, of schedules, and of parents.

use bytes::Bytes;
use tidemill_core::run::RunState;
use tidemill_core::spawn::DEPTH;
use tidemill_core::{Code, Timestamp, spawn};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::budgets::fuel;
use crate::embedded::deployments;
use crate::embedded::runs::admission::{debounce, lanes};
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{self, KeyLookup, RunKeyRecord, children, index, transition};
use crate::embedded::tables::{CHILDREN, DEPLOYMENTS, INPUTS, KEYS, RUNS, RUNS_BY_DEPLOYMENT, name_key, pair, run_of};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::usage::{self, UsageDelta};
use crate::error::{Result, StoreError};
use crate::records::{NewRun, RunRequestResult};

/// Writes a new run: its record, input, key reservation and index entries.
pub(crate) fn insert(commit: &mut WriteTx<'_, '_>, record: &RunRecord, input: &Bytes, now: Timestamp) -> Result<()> {
    let run = &record.run;
    let id = run.id.to_bytes();
    if commit.bytes(RUNS, &id)?.is_some() {
        return Err(StoreError::IllegalTransition(format!("run {} already exists", run.id)));
    }
    if commit.bytes(DEPLOYMENTS, run.deployment.as_str().as_bytes())?.is_none() {
        return Err(deployments::no_deployment(&run.deployment));
    }
    if !run.lanes.is_empty() {
        lanes::check(run)?;
        if !matches!(run.state, RunState::Queued { .. }) {
            return Err(StoreError::IllegalTransition(format!("run {} has lanes, so it must be queued first", run.id)));
        }
    }
    usage::check_new_run(commit, &run.deployment)?;
    commit.changes.note(&run.deployment, UsageDelta { runs: 1, ..UsageDelta::default() });
    if !input.is_empty() {
        commit.put_value(Some(&run.deployment), INPUTS, &id, &[], input)?;
    }
    if let Some(key) = &run.key {
        let reserved = RunKeyRecord { run: run.id, input: xxh3_128(input), until: None };
        commit.put_record(KEYS, &name_key(run.deployment.as_str(), key.as_bytes()), &reserved)?;
    }
    commit.put(RUNS_BY_DEPLOYMENT, &run_of(&run.deployment, run.id), &[]);
    transition::write(commit, None, record, now)
}

pub(crate) fn request(commit: &mut WriteTx<'_, '_>, new: &NewRun) -> Result<RunRequestResult> {
    request_in_turn(commit, new, false)
}

/// Requests a run. If it `waits`, it starts after the started runs of its schedule.
pub(crate) fn request_in_turn(commit: &mut WriteTx<'_, '_>, new: &NewRun, waits: bool) -> Result<RunRequestResult> {
    if let Some(key) = &new.key
        && let KeyLookup::Taken(run) = runs::look_up_key(commit, &new.deployment, key, &new.input, new.now)?
    {
        return Ok(RunRequestResult::Existing(*run));
    }
    if let Some(run) = debounce::join(commit, new)? {
        return Ok(RunRequestResult::Joined(run));
    }
    check_queue(commit, new)?;
    let mut record = debounce::opened(commit, new)?;
    fuel::request(commit, &mut record, new)?;
    record.counters.turn = waits.then(|| commit.ticket());
    insert(commit, &record, &new.input, new.now)?;
    Ok(RunRequestResult::Created(record.run))
}

/// Starts the children of a transaction, within the limits on children and of the queues that they
/// join.
pub(crate) fn start_children(commit: &mut WriteTx<'_, '_>, parent: &mut RunRecord, starts: &[NewRun]) -> Result<()> {
    if !starts.is_empty() && children::depth(commit, &parent.run)? >= DEPTH {
        return Err(limit_children(format!(
            "run {} is at the maximum depth of {DEPTH} and cannot start another run",
            parent.run.id
        )));
    }
    for new in starts {
        if new.trigger.parent != Some(parent.run.id) {
            return Err(StoreError::IllegalTransition(format!("run {} names another run as its parent", new.id)));
        }
        let key = pair(parent.run.id, new.id);
        if commit.bytes(CHILDREN, &key)?.is_some() {
            continue;
        }
        if !new.detached && parent.counters.open_children >= spawn::OPEN_CHILDREN {
            let message = format!("{} children of run {} have not ended", spawn::OPEN_CHILDREN, parent.run.id);
            return Err(limit_children(message));
        }
        check_queue(commit, new)?;
        let mut record = RunRecord::new(new.to_run());
        fuel::request(commit, &mut record, new)?;
        insert(commit, &record, &new.input, new.now)?;
        children::add(commit, parent, new);
    }
    Ok(())
}

/// Refuses a run if the queue that it would join is full.
fn check_queue(store: &impl ReadTx, new: &NewRun) -> Result<()> {
    if new.terms.queue_max == u64::MAX {
        return Ok(());
    }
    let queued = index::queued(store, &new.deployment)?;
    if queued < new.terms.queue_max { Ok(()) } else { Err(StoreError::QueueFull { queued }) }
}

fn limit_children(detail: String) -> StoreError {
    StoreError::OverBound { code: Code::LimitChildren, detail }
}
