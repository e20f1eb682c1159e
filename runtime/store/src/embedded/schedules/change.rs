//! Changes schedules: their revision, pause and next time.

use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::embedded::deployments;
use crate::embedded::schedules::{firing_log, queue, record};
use crate::embedded::tables::SCHEDULES;
use crate::embedded::tx::WriteTx;
use crate::error::{Result, StoreError};
use crate::records::{
    Deployment, FiringFate, FiringTimes, NextFiring, Pause, Schedule, ScheduleChange, ScheduleReplan, ScheduleResume,
};

/// Updates the schedules of a deployment to its new revision. A schedule with the same spec keeps
/// its next time. Counters stay; consecutive failures, and a limit that changed, start again. The
/// next time is never one that was processed: the caller computed it before this commit, and the
/// schedule may have fired in between.
pub(crate) fn replace(
    commit: &mut WriteTx<'_, '_>,
    deployment: &Deployment,
    changes: &[ScheduleChange],
    now: Timestamp,
) -> Result<()> {
    for old in record::of(commit, &deployment.name)? {
        if !changes.iter().any(|change| change.name == old.name) {
            firing_log::forget(commit, &old)?;
            remove(commit, &old);
        }
    }
    for change in changes {
        let mut was_next = None;
        let mut schedule = match record::get(commit, &deployment.name, &change.name)? {
            Some(old) => {
                was_next = old.next.filter(|_| old.paused.is_none() && deployment.paused.is_none());
                record::unplace(commit, &old);
                let left = if old.limit == change.limit { old.left } else { change.limit };
                let (next, since) = if old.spec == change.spec {
                    (old.upcoming(), old.since)
                } else {
                    (later(&old, change.next, &change.times), Some(now))
                };
                let next = next.filter(|_| left != Some(0));
                let old = Schedule { left, since, failures: 0, last_failed: None, ..old };
                record::with_next(old, next)
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
            firing_log::list_passed(commit, &mut schedule, FiringFate::Missed, span, now)?;
        }
        commit.put_record(SCHEDULES, &record::key(&deployment.name, &change.name), &schedule)?;
        record::place(commit, deployment, &schedule);
    }
    Ok(())
}

/// Returns the computed next firing, or a later one if that was processed before this commit.
fn later(schedule: &Schedule, computed: Option<NextFiring>, times: &FiringTimes) -> Option<NextFiring> {
    match (computed, schedule.last_processed()) {
        (Some(next), Some(through)) if next.at <= through => times.next_after(through),
        (computed, _) => computed,
    }
}

pub(crate) fn remove(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) {
    record::unplace(commit, schedule);
    commit.delete(SCHEDULES, &record::key(&schedule.deployment, &schedule.name));
}

/// Pauses a schedule, or replaces the note of its pause.
pub(crate) fn pause(
    commit: &mut WriteTx<'_, '_>,
    (deployment, name): (&DeploymentName, &ScheduleName),
    pause: Pause,
    now: Timestamp,
) -> Result<Schedule> {
    let mut schedule = record::get(commit, deployment, name)?.ok_or_else(|| record::unknown(deployment, name))?;
    record::unplace(commit, &schedule);
    let note = Some(pause.note.clone()).filter(|note| !note.is_empty());
    schedule.paused = Some(pause);
    commit.put_record(SCHEDULES, &record::key(deployment, name), &schedule)?;
    firing_log::announce(commit, &schedule, "paused", 0, note, now)?;
    Ok(schedule)
}

/// Resumes a paused schedule with its next time.
pub(crate) fn resume(
    commit: &mut WriteTx<'_, '_>,
    (deployment, name): (&DeploymentName, &ScheduleName),
    resume: &ScheduleResume,
    now: Timestamp,
) -> Result<Schedule> {
    let mut schedule = record::get(commit, deployment, name)?.ok_or_else(|| record::unknown(deployment, name))?;
    let parent = deployments::get(commit, deployment)?.ok_or_else(|| deployments::no_deployment(deployment))?;
    if schedule.paused.is_none() {
        return Err(StoreError::IllegalTransition("the schedule is not paused".to_owned()));
    }
    record::unplace(commit, &schedule);
    if let Some(span) = resume.passed {
        firing_log::list_passed(commit, &mut schedule, FiringFate::Paused, span, now)?;
    }
    let next = later(&schedule, resume.next, &resume.times).filter(|_| schedule.left != Some(0));
    schedule = record::with_next(
        Schedule { paused: None, failures: 0, last_failed: None, since: Some(now), ..schedule },
        next,
    );
    commit.put_record(SCHEDULES, &record::key(deployment, name), &schedule)?;
    record::place(commit, &parent, &schedule);
    firing_log::announce(commit, &schedule, "resumed", 0, None, now)?;
    Ok(schedule)
}

/// Sets a new next time of a schedule; `None` if it has changed since the caller read it.
pub(crate) fn replan(
    commit: &mut WriteTx<'_, '_>,
    replan: &ScheduleReplan,
    now: Timestamp,
) -> Result<Option<Schedule>> {
    let Some(schedule) = record::get(commit, &replan.deployment, &replan.name)? else { return Ok(None) };
    let Some(deployment) = deployments::get(commit, &replan.deployment)? else { return Ok(None) };
    if schedule.next != replan.seen || schedule.revision != replan.revision {
        return Ok(None);
    }
    record::unplace(commit, &schedule);
    let through = replan.through.or(schedule.through);
    let since = if replan.through.is_some() { Some(now) } else { schedule.since };
    let next = replan.next.filter(|_| schedule.left != Some(0));
    let schedule = record::with_next(Schedule { through, since, ..schedule }, next);
    commit.put_record(SCHEDULES, &record::key(&replan.deployment, &replan.name), &schedule)?;
    record::place(commit, &deployment, &schedule);
    firing_log::announce(commit, &schedule, replan.change, 0, Some(replan.note.clone()), now)?;
    Ok(Some(schedule))
}
