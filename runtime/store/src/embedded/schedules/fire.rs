//! Fires schedules: at their times, by hand and in backfills.

use tidemill_core::{ScheduleName, Timestamp};

use crate::embedded::runs::{self, tree};
use crate::embedded::schedules::overlap::{self, FiringContext, FiringResult};
use crate::embedded::schedules::{firing_log, record};
use crate::embedded::tables::SCHEDULES;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::{deployments, operations};
use crate::error::Result;
use crate::records::{
    BackfillPart, FiringCommit, FiringCommitResult, FiringFate, NewRun, Operation, OperationState, RunRequestResult,
    Schedule, Task,
};

/// Commits one tick of a schedule; `None` if the schedule has changed since the caller read it.
pub(crate) fn fire(
    commit: &mut WriteTx<'_, '_>,
    firing: &FiringCommit,
    now: Timestamp,
) -> Result<Option<FiringCommitResult>> {
    let Some(mut schedule) = record::get(commit, &firing.deployment, &firing.name)? else { return Ok(None) };
    let Some(deployment) = deployments::get(commit, &firing.deployment)? else { return Ok(None) };
    let moved = schedule.next != Some(firing.at) || schedule.revision != firing.revision;
    if moved || schedule.paused.is_some() || deployment.paused.is_some() {
        return Ok(None);
    }
    record::unplace(commit, &schedule);
    let context = FiringContext {
        deployment: &firing.deployment,
        name: &firing.name,
        overlap: firing.overlap,
        waiting: schedule.waiting,
        queue: firing.queue,
        max_runs: schedule.left,
        operation: None,
        now,
    };
    let done = overlap::execute_firings(commit, &context, &firing.firings)?;
    schedule = reload(commit, schedule, &done)?;
    if let Some(span) = firing.missed {
        schedule.missed += span.count;
        firing_log::list_passed(commit, &mut schedule, FiringFate::Missed, span, now)?;
    }
    let made = done.made.len() as u64;
    schedule.fired += made;
    schedule.skipped += done.skipped;
    schedule.dropped += done.dropped;
    schedule.late += done.late;
    schedule.left = schedule.left.map(|left| left.saturating_sub(made));
    if let Some((nominal, run)) = done.made.last() {
        (schedule.last, schedule.last_run) = (Some(*nominal), Some(*run));
    }
    for entry in &done.entries {
        firing_log::note(commit, &mut schedule, entry)?;
    }
    schedule.through = schedule.last_processed().max(Some(firing.through));
    let next = firing.next.filter(|_| schedule.left != Some(0));
    schedule = record::with_next(schedule, next);
    if schedule.next.is_none() {
        firing_log::announce(commit, &schedule, "ended", 0, None, now)?;
    }
    commit.put_record(SCHEDULES, &record::key(&firing.deployment, &firing.name), &schedule)?;
    record::place(commit, &deployment, &schedule);
    let missed = firing.missed.map_or(0, |span| span.count);
    result_of(commit, done, missed, now).map(Some)
}

/// Returns the current record of a schedule after its firings were executed.
fn reload(store: &impl ReadTx, schedule: Schedule, done: &FiringResult) -> Result<Schedule> {
    let written = if done.touched { record::get(store, &schedule.deployment, &schedule.name)? } else { None };
    Ok(written.unwrap_or(schedule))
}

fn result_of(
    commit: &mut WriteTx<'_, '_>,
    done: FiringResult,
    missed: u64,
    now: Timestamp,
) -> Result<FiringCommitResult> {
    let FiringResult { made, skipped, dropped, late, .. } = done;
    let fired = made.into_iter().map(|(nominal, _)| nominal).collect();
    Ok(FiringCommitResult { fired, skipped, dropped, late, missed, caused: tree::effects(commit, now)? })
}

/// Creates a run of a schedule outside its times, regardless of other runs.
pub(crate) fn trigger(commit: &mut WriteTx<'_, '_>, name: &ScheduleName, new: &NewRun) -> Result<RunRequestResult> {
    let mut schedule =
        record::get(commit, &new.deployment, name)?.ok_or_else(|| record::unknown(&new.deployment, name))?;
    let requested = runs::request(commit, new)?;
    if matches!(requested, RunRequestResult::Created(_)) {
        schedule.by_hand += 1;
        commit.put_record(SCHEDULES, &record::key(&new.deployment, name), &schedule)?;
    }
    Ok(requested)
}

/// Creates the runs of one part of a backfill and advances its operation; `None` if that has
/// advanced since the caller read it.
pub(crate) fn backfill(
    commit: &mut WriteTx<'_, '_>,
    part: &BackfillPart,
    now: Timestamp,
) -> Result<Option<(Operation, FiringCommitResult)>> {
    let Some(present) = operations::get(commit, &part.operation.id)? else { return Ok(None) };
    let Task::Backfill { deployment, schedule: name, overlap, .. } = &present.task else { return Ok(None) };
    if present.cursor != part.seen || present.state != OperationState::Running {
        return Ok(None);
    }
    let mut schedule = record::get(commit, deployment, name)?.ok_or_else(|| record::unknown(deployment, name))?;
    let context = FiringContext {
        deployment,
        name,
        overlap: *overlap,
        waiting: schedule.waiting,
        queue: part.queue,
        max_runs: None,
        operation: Some(&present.id),
        now,
    };
    let done = overlap::execute_firings(commit, &context, &part.firings)?;
    schedule = reload(commit, schedule, &done)?;
    if !done.entries.is_empty() {
        for entry in &done.entries {
            firing_log::note(commit, &mut schedule, entry)?;
        }
        commit.put_record(SCHEDULES, &record::key(deployment, name), &schedule)?;
    }
    let operation = Operation {
        done: present.done + done.made.len() as u64,
        failed: present.failed + done.skipped + done.dropped,
        ..part.operation.clone()
    };
    operations::put(commit, &operation)?;
    Ok(Some((operation, result_of(commit, done, 0, now)?)))
}
