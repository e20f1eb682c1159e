//! The runs of a schedule that have not ended and are not parked: started ones, and ones that wait
//! for their turn, which comes when no started run is left.
//!
//! A run that waits for its turn is on no other list and holds nothing that another run could wait
//! for. So turns cannot cause a deadlock, whatever the started runs wait for. A run that is retried
//! after it was parked is started at once.

use tidemill_core::run::{Run, TriggerKind};
use tidemill_core::{DeploymentName, RunId, ScheduleName, Timestamp};

use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{index, record};
use crate::embedded::schedules::failure_streak;
use crate::embedded::tables::{FIRINGS, RUNS, SCHEDULES, name_key, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::Schedule;

/// First byte of the row of a started run.
const STARTED: u8 = 0;
/// First byte of the row of a run that waits for its turn.
const WAITS: u8 = 1;

/// Returns the name of the schedule that a run belongs to.
fn schedule_of(run: &Run) -> Option<&str> {
    run.trigger.name.as_deref().filter(|_| run.trigger.kind == TriggerKind::Schedule)
}

fn rows(deployment: &DeploymentName, schedule: &str, kind: &[u8]) -> Vec<u8> {
    name_key(deployment.as_str(), &name_key(schedule, kind))
}

/// Returns the row of a run that has not ended and is not parked; `None` if it belongs to no
/// schedule.
fn row(record: &RunRecord) -> Option<Vec<u8>> {
    let run = &record.run;
    let mut row =
        rows(&run.deployment, schedule_of(run)?, &[if record.counters.turn.is_some() { WAITS } else { STARTED }]);
    if let Some((commit, within)) = record.counters.turn {
        row.extend_from_slice(&commit.to_be_bytes());
        row.extend_from_slice(&within.to_be_bytes());
    }
    row.extend_from_slice(&run.id.to_bytes());
    Some(row)
}

/// Adds a new or retried run that is neither ended nor parked.
pub(crate) fn add(commit: &mut WriteTx<'_, '_>, record: &RunRecord) -> Result<()> {
    let Some(row) = row(record) else { return Ok(()) };
    commit.put(FIRINGS, &row, &[]);
    if let Some(name) = schedule_of(&record.run).filter(|_| record.counters.turn.is_some()) {
        let key = name_key(record.run.deployment.as_str(), name.as_bytes());
        if let Some(mut schedule) = commit.record::<Schedule>(SCHEDULES, &key)? {
            schedule.waiting += 1;
            commit.put_record(SCHEDULES, &key, &schedule)?;
        }
    }
    Ok(())
}

/// Removes a run that has just ended or parked, lets the next run start, and counts the result for
/// its schedule.
pub(crate) fn settled(commit: &mut WriteTx<'_, '_>, record: &RunRecord, now: Timestamp) -> Result<()> {
    let (Some(row), Some(name)) = (row(record), schedule_of(&record.run)) else { return Ok(()) };
    commit.delete(FIRINGS, &row);
    let key = name_key(record.run.deployment.as_str(), name.as_bytes());
    let mut schedule = commit.record::<Schedule>(SCHEDULES, &key)?;
    let before = schedule.clone();
    if let Some(schedule) = schedule.as_mut().filter(|_| record.counters.turn.is_some()) {
        schedule.waiting = schedule.waiting.saturating_sub(1);
    }
    // A removed schedule may have left waiting runs.
    if record.counters.turn.is_none() && schedule.as_ref().is_none_or(|schedule| schedule.waiting > 0) {
        next(commit, &record.run.deployment, name, schedule.as_mut(), now)?;
    }
    if let Some(schedule) = &mut schedule {
        failure_streak::count(commit, schedule, &record.run, now)?;
    }
    match schedule {
        Some(schedule) if before.as_ref() != Some(&schedule) => commit.put_record(SCHEDULES, &key, &schedule),
        _ => Ok(()),
    }
}

/// Starts the first waiting run if no started run is left.
fn next(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &str,
    schedule: Option<&mut Schedule>,
    now: Timestamp,
) -> Result<()> {
    if !commit.scan_prefix(FIRINGS, &rows(deployment, name, &[STARTED]), 1)?.is_empty() {
        return Ok(());
    }
    let waiting = commit.scan_prefix(FIRINGS, &rows(deployment, name, &[WAITS]), 1)?;
    let Some((row, id)) = waiting.first().and_then(|(row, _)| Some((row, run_at_end(row)?))) else { return Ok(()) };
    commit.delete(FIRINGS, row);
    let mut record = record::get(commit, id)?;
    record.counters.turn = None;
    commit.put_record(RUNS, &id.to_bytes(), &record)?;
    add(commit, &record)?;
    if let Some(schedule) = schedule {
        schedule.waiting = schedule.waiting.saturating_sub(1);
    }
    index::list(commit, &record, now)
}

/// Returns the started runs, oldest first.
pub(crate) fn started(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &ScheduleName,
    max: usize,
) -> Result<Vec<RunId>> {
    let found = store.scan_prefix(FIRINGS, &rows(deployment, name.as_str(), &[STARTED]), max)?;
    Ok(found.iter().filter_map(|(key, _)| run_at_end(key)).collect())
}

/// Returns the runs that wait for their turn, in the order of their turns.
pub(crate) fn waiting(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &ScheduleName,
    max: usize,
) -> Result<Vec<RunId>> {
    let found = store.scan_prefix(FIRINGS, &rows(deployment, name.as_str(), &[WAITS]), max)?;
    Ok(found.iter().filter_map(|(key, _)| run_at_end(key)).collect())
}

/// Returns how many runs have their turn before a waiting run, counted up to `max`; `None` if the
/// run does not wait for its turn.
pub(crate) fn ahead(store: &impl ReadTx, record: &RunRecord, max: usize) -> Result<Option<usize>> {
    let (Some(row), Some(name)) = (row(record), schedule_of(&record.run)) else { return Ok(None) };
    if record.counters.turn.is_none() || record.run.state.is_settled() {
        return Ok(None);
    }
    let first = rows(&record.run.deployment, name, &[WAITS]);
    Ok(Some(store.range(FIRINGS, first..row, false, max)?.len()))
}

/// Returns the started runs of a waiting run's schedule, at most `max`. Its turn comes when they
/// have ended.
pub(crate) fn before(store: &impl ReadTx, record: &RunRecord, max: usize) -> Result<Vec<RunId>> {
    let Some(name) = schedule_of(&record.run).and_then(|name| name.parse().ok()) else { return Ok(Vec::new()) };
    started(store, &record.run.deployment, &name, max)
}
