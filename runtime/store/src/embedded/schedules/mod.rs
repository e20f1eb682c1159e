//! Schedules: the list of due times, and the commit of a firing. Does not compute times.

pub(crate) mod failure_streak;
pub(crate) mod firing_log;
pub(crate) mod overlap;
pub(crate) mod queue;

use tidemill_core::{Code, DeploymentName, ScheduleName, Timestamp};

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{DUE, SCHEDULES, WATERMARKS, at, time_of, under};
use super::write_tx::WriteTx;
use crate::embedded::runs::tree;
use crate::embedded::schedules::overlap::{FiringContext, FiringResult, execute_firings};
use crate::embedded::{deployments, operations, runs};
use crate::error::StoreError;
use crate::records::{
    BackfillPart, Deployment, DueSchedule, FiringCommit, FiringCommitResult, FiringEntry, FiringFate, FiringTimes,
    NewRun, NextFiring, NominalRange, Operation, OperationState, Page, PageRequest, Pause, RunRequestResult, Schedule,
    ScheduleChange, ScheduleReplan, ScheduleResume, Task,
};

type Result<T> = std::result::Result<T, StoreError>;

fn key(deployment: &DeploymentName, name: &ScheduleName) -> Vec<u8> {
    under(deployment.as_str(), name.as_str().as_bytes())
}

fn unknown(deployment: &DeploymentName, name: &ScheduleName) -> StoreError {
    StoreError::NotFound { kind: "schedule", name: format!("{deployment}/{name}") }
}

pub(super) fn get(store: &impl ReadTx, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>> {
    store.record(SCHEDULES, &key(deployment, name))
}

pub(super) fn of(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Vec<Schedule>> {
    let found = store.scan_prefix(SCHEDULES, &under(deployment.as_str(), &[]), usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(SCHEDULES, bytes)).collect()
}

pub(super) fn list(
    store: &impl ReadTx,
    deployment: Option<&DeploymentName>,
    page: &PageRequest,
) -> Result<Page<Schedule>> {
    let prefix = deployment.map(|name| under(name.as_str(), &[])).unwrap_or_default();
    store.page(SCHEDULES, &prefix, false, page)?.try_map(|(_, bytes)| decode(SCHEDULES, &bytes))
}

/// Updates the schedules of a deployment to its new revision. A schedule with the same spec keeps
/// its next time. Counters stay; consecutive failures, and a limit that changed, start again. The
/// next time is never one that was dealt with: the caller computed it before this commit, and the
/// schedule may have fired in between.
pub(super) fn replace(
    commit: &mut WriteTx<'_, '_>,
    deployment: &Deployment,
    changes: &[ScheduleChange],
    now: Timestamp,
) -> Result<()> {
    for old in of(commit, &deployment.name)? {
        if !changes.iter().any(|change| change.name == old.name) {
            firing_log::forget(commit, &old)?;
            remove(commit, &old);
        }
    }
    for change in changes {
        let mut was_next = None;
        let mut schedule = match get(commit, &deployment.name, &change.name)? {
            Some(old) => {
                was_next = old.next.filter(|_| old.paused.is_none() && deployment.paused.is_none());
                unplace(commit, &old);
                let left = if old.limit == change.limit { old.left } else { change.limit };
                let (next, since) = if old.spec == change.spec {
                    (old.upcoming(), old.since)
                } else {
                    (later(&old, change.next, &change.times), Some(now))
                };
                let next = next.filter(|_| left != Some(0));
                let old = Schedule { left, since, failures: 0, last_failed: None, ..old };
                with_next(old, next)
            }
            None => Schedule {
                deployment: deployment.name.clone(),
                name: change.name.clone(),
                revision: deployment.revision,
                spec: change.spec,
                next: change.next.map(|next| next.at),
                due: change.next.map(|next| next.due),
                through: None,
                since: Some(now),
                paused: None,
                last: None,
                last_run: None,
                fired: 0,
                skipped: 0,
                dropped: 0,
                late: 0,
                missed: 0,
                by_hand: 0,
                limit: change.limit,
                left: change.limit,
                pause_after_failures: None,
                failures: 0,
                last_failed: None,
                // Left by a removed schedule of the same name.
                waiting: queue::waiting(commit, &deployment.name, &change.name, usize::MAX)?.len() as u64,
                listed: 0,
            },
        };
        schedule.revision = deployment.revision;
        schedule.spec = change.spec;
        schedule.limit = change.limit;
        schedule.pause_after_failures = change.pause_after_failures;
        if let Some(span) = change.missed.filter(|span| was_next == Some(span.first)) {
            schedule.missed += span.count;
            list_passed(commit, &mut schedule, FiringFate::Missed, span, now)?;
        }
        commit.put_record(SCHEDULES, &key(&deployment.name, &change.name), &schedule)?;
        place(commit, deployment, &schedule);
    }
    Ok(())
}

/// Returns the computed next firing, or a later one if that was dealt with before this commit.
fn later(schedule: &Schedule, computed: Option<NextFiring>, times: &FiringTimes) -> Option<NextFiring> {
    match (computed, schedule.dealt_with()) {
        (Some(next), Some(through)) if next.at <= through => times.next_after(through),
        (computed, _) => computed,
    }
}

fn with_next(schedule: Schedule, next: Option<NextFiring>) -> Schedule {
    Schedule { next: next.map(|next| next.at), due: next.map(|next| next.due), ..schedule }
}

pub(super) fn remove(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) {
    unplace(commit, schedule);
    commit.delete(SCHEDULES, &key(&schedule.deployment, &schedule.name));
}

/// Adds a schedule to the list of due times, or removes it if it or its deployment is paused.
pub(super) fn place(commit: &mut WriteTx<'_, '_>, deployment: &Deployment, schedule: &Schedule) {
    let Some(next) = schedule.upcoming() else { return };
    let place = at(next.due, &key(&schedule.deployment, &schedule.name));
    if schedule.paused.is_some() || deployment.paused.is_some() {
        commit.delete(DUE, &place);
    } else if next.due == next.at {
        commit.put(DUE, &place, &[]);
    } else {
        commit.put(DUE, &place, &next.at.as_millis().to_be_bytes());
    }
}

pub(super) fn unplace(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) {
    if let Some(next) = schedule.upcoming() {
        commit.delete(DUE, &at(next.due, &key(&schedule.deployment, &schedule.name)));
    }
}

pub(super) fn due(store: &impl ReadTx, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>> {
    let found = store.range(DUE, Vec::new()..at(now.plus_millis(1), &[]), false, limit)?;
    found.iter().map(|(key, nominal)| read_due(key, nominal)).collect()
}

pub(super) fn next_due(store: &impl ReadTx) -> Result<Option<Timestamp>> {
    Ok(store.range(DUE, prefix_range(&[]), false, 1)?.first().and_then(|(key, _)| time_of(key)))
}

fn read_due(key: &[u8], nominal: &[u8]) -> Result<DueSchedule> {
    let read = || {
        let due = time_of(key)?;
        let at = if nominal.is_empty() { due } else { time_of(nominal)? };
        let (deployment, name) = std::str::from_utf8(key.get(8..)?).ok()?.split_once('\0')?;
        Some(DueSchedule { deployment: deployment.parse().ok()?, name: name.parse().ok()?, at, due })
    };
    read().ok_or_else(|| StoreError::Damaged { what: "a key of table due-schedules cannot be read".into() })
}

/// Commits one tick of a schedule; `None` if the schedule has changed since the caller read it.
pub(super) fn fire(
    commit: &mut WriteTx<'_, '_>,
    firing: &FiringCommit,
    now: Timestamp,
) -> Result<Option<FiringCommitResult>> {
    let Some(mut schedule) = get(commit, &firing.deployment, &firing.name)? else { return Ok(None) };
    let Some(deployment) = deployments::get(commit, &firing.deployment)? else { return Ok(None) };
    let moved = schedule.next != Some(firing.at) || schedule.revision != firing.revision;
    if moved || schedule.paused.is_some() || deployment.paused.is_some() {
        return Ok(None);
    }
    unplace(commit, &schedule);
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
    let done = execute_firings(commit, &context, &firing.firings)?;
    schedule = reload(commit, schedule, &done)?;
    if let Some(span) = firing.missed {
        schedule.missed += span.count;
        list_passed(commit, &mut schedule, FiringFate::Missed, span, now)?;
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
    schedule.through = schedule.dealt_with().max(Some(firing.through));
    let next = firing.next.filter(|_| schedule.left != Some(0));
    schedule = with_next(schedule, next);
    if schedule.next.is_none() {
        firing_log::announce(commit, &schedule, "ended", 0, None, now)?;
    }
    commit.put_record(SCHEDULES, &key(&firing.deployment, &firing.name), &schedule)?;
    place(commit, &deployment, &schedule);
    let missed = firing.missed.map_or(0, |span| span.count);
    result_of(commit, done, missed, now).map(Some)
}

/// Returns the current record of a schedule after its firings were executed.
fn reload(store: &impl ReadTx, schedule: Schedule, done: &FiringResult) -> Result<Schedule> {
    let written = if done.touched { get(store, &schedule.deployment, &schedule.name)? } else { None };
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
    Ok(FiringCommitResult { fired, skipped, dropped, late, missed, caused: tree::caused(commit, now)? })
}

/// Lists nominal times that passed without being executed, as missed or paused.
fn list_passed(
    commit: &mut WriteTx<'_, '_>,
    schedule: &mut Schedule,
    fate: FiringFate,
    span: NominalRange,
    now: Timestamp,
) -> Result<()> {
    let NominalRange { first, last, count, more } = span;
    let code = Code::FiringMissed.as_str().to_owned();
    let entry = FiringEntry { fate, code, first, last, count, more, seen: now, run: None, operation: None };
    schedule.through = schedule.dealt_with().max(Some(last));
    firing_log::note(commit, schedule, &entry)
}

/// Creates a run of a schedule outside its times, regardless of other runs.
pub(super) fn trigger(commit: &mut WriteTx<'_, '_>, name: &ScheduleName, new: &NewRun) -> Result<RunRequestResult> {
    let mut schedule = get(commit, &new.deployment, name)?.ok_or_else(|| unknown(&new.deployment, name))?;
    let requested = runs::request(commit, new)?;
    if matches!(requested, RunRequestResult::Created(_)) {
        schedule.by_hand += 1;
        commit.put_record(SCHEDULES, &key(&new.deployment, name), &schedule)?;
    }
    Ok(requested)
}

/// Creates the runs of one part of a backfill and advances its operation; `None` if that has
/// advanced since the caller read it.
pub(super) fn backfill(
    commit: &mut WriteTx<'_, '_>,
    part: &BackfillPart,
    now: Timestamp,
) -> Result<Option<(Operation, FiringCommitResult)>> {
    let Some(stands) = operations::get(commit, &part.operation.id)? else { return Ok(None) };
    let Task::Backfill { deployment, schedule: name, overlap, .. } = &stands.task else { return Ok(None) };
    if stands.cursor != part.seen || stands.state != OperationState::Running {
        return Ok(None);
    }
    let mut schedule = get(commit, deployment, name)?.ok_or_else(|| unknown(deployment, name))?;
    let context = FiringContext {
        deployment,
        name,
        overlap: *overlap,
        waiting: schedule.waiting,
        queue: part.queue,
        max_runs: None,
        operation: Some(&stands.id),
        now,
    };
    let done = execute_firings(commit, &context, &part.firings)?;
    schedule = reload(commit, schedule, &done)?;
    if !done.entries.is_empty() {
        for entry in &done.entries {
            firing_log::note(commit, &mut schedule, entry)?;
        }
        commit.put_record(SCHEDULES, &key(deployment, name), &schedule)?;
    }
    let operation = Operation {
        done: stands.done + done.made.len() as u64,
        failed: stands.failed + done.skipped + done.dropped,
        ..part.operation.clone()
    };
    operations::put(commit, &operation)?;
    Ok(Some((operation, result_of(commit, done, 0, now)?)))
}

/// Pauses a schedule, or replaces the note of its pause.
pub(super) fn pause(
    commit: &mut WriteTx<'_, '_>,
    (deployment, name): (&DeploymentName, &ScheduleName),
    pause: Pause,
    now: Timestamp,
) -> Result<Schedule> {
    let mut schedule = get(commit, deployment, name)?.ok_or_else(|| unknown(deployment, name))?;
    unplace(commit, &schedule);
    let note = Some(pause.note.clone()).filter(|note| !note.is_empty());
    schedule.paused = Some(pause);
    commit.put_record(SCHEDULES, &key(deployment, name), &schedule)?;
    firing_log::announce(commit, &schedule, "paused", 0, note, now)?;
    Ok(schedule)
}

/// Resumes a paused schedule with its next time.
pub(super) fn resume(
    commit: &mut WriteTx<'_, '_>,
    (deployment, name): (&DeploymentName, &ScheduleName),
    resume: &ScheduleResume,
    now: Timestamp,
) -> Result<Schedule> {
    let mut schedule = get(commit, deployment, name)?.ok_or_else(|| unknown(deployment, name))?;
    let parent = deployments::get(commit, deployment)?.ok_or_else(|| runs::no_deployment(deployment))?;
    if schedule.paused.is_none() {
        return Err(StoreError::IllegalTransition("the schedule is not paused".to_owned()));
    }
    unplace(commit, &schedule);
    if let Some(span) = resume.passed {
        list_passed(commit, &mut schedule, FiringFate::Paused, span, now)?;
    }
    let next = later(&schedule, resume.next, &resume.times).filter(|_| schedule.left != Some(0));
    schedule = with_next(Schedule { paused: None, failures: 0, last_failed: None, since: Some(now), ..schedule }, next);
    commit.put_record(SCHEDULES, &key(deployment, name), &schedule)?;
    place(commit, &parent, &schedule);
    firing_log::announce(commit, &schedule, "resumed", 0, None, now)?;
    Ok(schedule)
}

/// Sets a new next time of a schedule; `None` if it has changed since the caller read it.
pub(super) fn replan(
    commit: &mut WriteTx<'_, '_>,
    replan: &ScheduleReplan,
    now: Timestamp,
) -> Result<Option<Schedule>> {
    let Some(schedule) = get(commit, &replan.deployment, &replan.name)? else { return Ok(None) };
    let Some(deployment) = deployments::get(commit, &replan.deployment)? else { return Ok(None) };
    if schedule.next != replan.seen || schedule.revision != replan.revision {
        return Ok(None);
    }
    unplace(commit, &schedule);
    let through = replan.through.or(schedule.through);
    let since = if replan.through.is_some() { Some(now) } else { schedule.since };
    let next = replan.next.filter(|_| schedule.left != Some(0));
    let schedule = with_next(Schedule { through, since, ..schedule }, next);
    commit.put_record(SCHEDULES, &key(&replan.deployment, &replan.name), &schedule)?;
    place(commit, &deployment, &schedule);
    firing_log::announce(commit, &schedule, replan.change, 0, Some(replan.note.clone()), now)?;
    Ok(Some(schedule))
}

pub(super) fn watermark(store: &impl ReadTx, stream: &DeploymentName) -> Result<Option<Timestamp>> {
    store.record(WATERMARKS, stream.as_str().as_bytes())
}
