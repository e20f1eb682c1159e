//! The runs of a schedule that have not ended and are not parked: those that were started, and those that wait their turn, which is
//! when none of the started is left.
//!
//! A run that waits its turn is listed nowhere else, and holds nothing that another could wait for; so no cycle can be, whatever
//! else the started ones wait for. One that is tried again after it was parked is started at once.

use tidemill_core::run::{Run, TriggerKind};
use tidemill_core::{DeploymentName, RunId, ScheduleName, Timestamp};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs::index;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::schedules::failure_streak;
use crate::embedded::tables::{FIRINGS, RUNS, SCHEDULES, run_at_end, under};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::Schedule;

type Result<T> = std::result::Result<T, StoreError>;

/// The row of a run that was started begins so,
const STARTED: u8 = 0;
/// that of one that waits its turn so.
const WAITS: u8 = 1;

/// The schedule that a run belongs to.
fn schedule_of(run: &Run) -> Option<&str> {
    run.trigger.name.as_deref().filter(|_| run.trigger.kind == TriggerKind::Schedule)
}

fn rows(deployment: &DeploymentName, schedule: &str, kind: &[u8]) -> Vec<u8> {
    under(deployment.as_str(), &under(schedule, kind))
}

/// The row of a run that has not ended and is not parked; none where it is no schedule's.
fn row(kept: &RunRecord) -> Option<Vec<u8>> {
    let run = &kept.run;
    let mut row = rows(&run.deployment, schedule_of(run)?, &[if kept.marks.turn.is_some() { WAITS } else { STARTED }]);
    if let Some((commit, within)) = kept.marks.turn {
        row.extend_from_slice(&commit.to_be_bytes());
        row.extend_from_slice(&within.to_be_bytes());
    }
    row.extend_from_slice(&run.id.to_bytes());
    Some(row)
}

/// A run comes that is not settled, or comes again.
pub(crate) fn comes(commit: &mut WriteTx<'_, '_>, kept: &RunRecord) -> Result<()> {
    let Some(row) = row(kept) else { return Ok(()) };
    commit.put(FIRINGS, &row, &[]);
    if let Some(name) = schedule_of(&kept.run).filter(|_| kept.marks.turn.is_some()) {
        let key = under(kept.run.deployment.as_str(), name.as_bytes());
        if let Some(mut schedule) = commit.record::<Schedule>(SCHEDULES, &key)? {
            schedule.waiting += 1;
            commit.put_record(SCHEDULES, &key, &schedule)?;
        }
    }
    Ok(())
}

/// A run has ended or is parked, and was not before: the next one may have its turn, and its schedule counts how it ended.
pub(crate) fn settled(commit: &mut WriteTx<'_, '_>, kept: &RunRecord, now: Timestamp) -> Result<()> {
    let (Some(row), Some(name)) = (row(kept), schedule_of(&kept.run)) else { return Ok(()) };
    commit.delete(FIRINGS, &row);
    let key = under(kept.run.deployment.as_str(), name.as_bytes());
    let mut schedule = commit.record::<Schedule>(SCHEDULES, &key)?;
    let before = schedule.clone();
    if let Some(schedule) = schedule.as_mut().filter(|_| kept.marks.turn.is_some()) {
        schedule.waiting = schedule.waiting.saturating_sub(1);
    }
    // A schedule that is no more may have left some.
    if kept.marks.turn.is_none() && schedule.as_ref().is_none_or(|schedule| schedule.waiting > 0) {
        next(commit, &kept.run.deployment, name, schedule.as_mut(), now)?;
    }
    if let Some(schedule) = &mut schedule {
        failure_streak::count(commit, schedule, &kept.run, now)?;
    }
    match schedule {
        Some(schedule) if before.as_ref() != Some(&schedule) => commit.put_record(SCHEDULES, &key, &schedule),
        _ => Ok(()),
    }
}

/// Starts the first that waits its turn, where none that was started is left.
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
    let mut kept = record::existing(commit, id)?;
    kept.marks.turn = None;
    commit.put_record(RUNS, &id.to_bytes(), &kept)?;
    comes(commit, &kept)?;
    if let Some(schedule) = schedule {
        schedule.waiting = schedule.waiting.saturating_sub(1);
    }
    index::list(commit, &kept, now)
}

/// Those that were started, oldest first.
pub(crate) fn started(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &ScheduleName,
    most: usize,
) -> Result<Vec<RunId>> {
    let found = store.scan_prefix(FIRINGS, &rows(deployment, name.as_str(), &[STARTED]), most)?;
    Ok(found.iter().filter_map(|(key, _)| run_at_end(key)).collect())
}

/// Those that wait their turn, in its order.
pub(crate) fn waiting(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &ScheduleName,
    most: usize,
) -> Result<Vec<RunId>> {
    let found = store.scan_prefix(FIRINGS, &rows(deployment, name.as_str(), &[WAITS]), most)?;
    Ok(found.iter().filter_map(|(key, _)| run_at_end(key)).collect())
}

/// How many wait before a run that waits its turn, counted up to `most`; none where it does not.
pub(crate) fn ahead(store: &impl ReadTx, kept: &RunRecord, most: usize) -> Result<Option<usize>> {
    let (Some(row), Some(name)) = (row(kept), schedule_of(&kept.run)) else { return Ok(None) };
    if kept.marks.turn.is_none() || kept.run.state.is_settled() {
        return Ok(None);
    }
    let first = rows(&kept.run.deployment, name, &[WAITS]);
    Ok(Some(store.range(FIRINGS, first..row, false, most)?.len()))
}

/// The runs before which one that waits its turn does not begin, at most `most`: those of its schedule that were started.
pub(crate) fn before(store: &impl ReadTx, kept: &RunRecord, most: usize) -> Result<Vec<RunId>> {
    let Some(name) = schedule_of(&kept.run).and_then(|name| name.parse().ok()) else { return Ok(Vec::new()) };
    started(store, &kept.run.deployment, &name, most)
}
