//! Schedules: one list of all that is due, and firing as one commit.

use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use super::codec::decode;
use super::commit::Commit;
use super::reads::{Reads, prefix_range};
use super::tables::{DUE, SCHEDULES, WATERMARKS, at, time_of, under};
use super::{deployments, runs};
use crate::error::StoreError;
use crate::records::{
    Deployment, DueSchedule, FeedEvent, Firing, Page, PageRequest, Pause, Requested, Schedule, ScheduleChange,
};

type Result<T> = std::result::Result<T, StoreError>;

fn key(deployment: &DeploymentName, name: &ScheduleName) -> Vec<u8> {
    under(deployment.as_str(), name.as_str().as_bytes())
}

fn unknown(deployment: &DeploymentName, name: &ScheduleName) -> StoreError {
    StoreError::NotFound { kind: "schedule", name: format!("{deployment}/{name}") }
}

pub(super) fn get(store: &impl Reads, deployment: &DeploymentName, name: &ScheduleName) -> Result<Option<Schedule>> {
    store.record(SCHEDULES, &key(deployment, name))
}

pub(super) fn of(store: &impl Reads, deployment: &DeploymentName) -> Result<Vec<Schedule>> {
    let found = store.below(SCHEDULES, &under(deployment.as_str(), &[]), usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(SCHEDULES, bytes)).collect()
}

pub(super) fn list(
    store: &impl Reads,
    deployment: Option<&DeploymentName>,
    page: &PageRequest,
) -> Result<Page<Schedule>> {
    let prefix = deployment.map(|name| under(name.as_str(), &[])).unwrap_or_default();
    store.page(SCHEDULES, &prefix, false, page)?.try_map(|(_, bytes)| decode(SCHEDULES, &bytes))
}

/// Brings the schedules of a deployment in line with its new revision. One whose spec is the same keeps its next time and
/// what it counted.
pub(super) fn replace(commit: &mut Commit<'_, '_>, deployment: &Deployment, changes: &[ScheduleChange]) -> Result<()> {
    for old in of(commit, &deployment.name)? {
        if !changes.iter().any(|change| change.name == old.name) {
            remove(commit, &old);
        }
    }
    for change in changes {
        let mut schedule = match get(commit, &deployment.name, &change.name)? {
            Some(old) => {
                unplace(commit, &old);
                let next = if old.spec == change.spec { old.next } else { change.next };
                Schedule { next, ..old }
            }
            None => Schedule {
                deployment: deployment.name.clone(),
                name: change.name.clone(),
                revision: deployment.revision,
                spec: change.spec,
                next: change.next,
                paused: None,
                last: None,
                last_run: None,
                fired: 0,
                skipped: 0,
                missed: 0,
            },
        };
        schedule.revision = deployment.revision;
        schedule.spec = change.spec;
        commit.put_record(SCHEDULES, &key(&deployment.name, &change.name), &schedule)?;
        place(commit, deployment, &schedule);
    }
    Ok(())
}

pub(super) fn remove(commit: &mut Commit<'_, '_>, schedule: &Schedule) {
    unplace(commit, schedule);
    commit.delete(SCHEDULES, &key(&schedule.deployment, &schedule.name));
}

/// Puts a schedule on the list of what comes due, or takes it off while it or its deployment is paused.
pub(super) fn place(commit: &mut Commit<'_, '_>, deployment: &Deployment, schedule: &Schedule) {
    let Some(next) = schedule.next else { return };
    let place = at(next, &key(&schedule.deployment, &schedule.name));
    if schedule.paused.is_some() || deployment.paused.is_some() {
        commit.delete(DUE, &place);
    } else {
        commit.put(DUE, &place, &[]);
    }
}

fn unplace(commit: &mut Commit<'_, '_>, schedule: &Schedule) {
    if let Some(next) = schedule.next {
        commit.delete(DUE, &at(next, &key(&schedule.deployment, &schedule.name)));
    }
}

pub(super) fn due(store: &impl Reads, now: Timestamp, limit: usize) -> Result<Vec<DueSchedule>> {
    let found = store.range(DUE, Vec::new()..at(now.plus_millis(1), &[]), false, limit)?;
    found.iter().map(|(key, _)| read_due(key)).collect()
}

pub(super) fn next_due(store: &impl Reads) -> Result<Option<Timestamp>> {
    Ok(store.range(DUE, prefix_range(&[]), false, 1)?.first().and_then(|(key, _)| time_of(key)))
}

fn read_due(key: &[u8]) -> Result<DueSchedule> {
    let read = || {
        let due = time_of(key)?;
        let (deployment, name) = std::str::from_utf8(key.get(8..)?).ok()?.split_once('\0')?;
        Some(DueSchedule { deployment: deployment.parse().ok()?, name: name.parse().ok()?, due })
    };
    read().ok_or_else(|| StoreError::Damaged { what: "a key of table due-schedules cannot be read".into() })
}

pub(super) fn fire(commit: &mut Commit<'_, '_>, firing: &Firing, now: Timestamp) -> Result<bool> {
    let Some(mut schedule) = get(commit, &firing.deployment, &firing.name)? else { return Ok(false) };
    let Some(deployment) = deployments::get(commit, &firing.deployment)? else { return Ok(false) };
    if schedule.next != Some(firing.due) || schedule.paused.is_some() || deployment.paused.is_some() {
        return Ok(false);
    }
    unplace(commit, &schedule);
    schedule.next = firing.next;
    schedule.skipped += firing.skipped;
    schedule.missed += firing.missed;
    for new in &firing.runs {
        if let Requested::Created(run) = runs::request(commit, new)? {
            schedule.fired += 1;
            schedule.last = run.trigger.at.or(schedule.last);
            schedule.last_run = Some(run.id);
        }
    }
    commit.put_record(SCHEDULES, &key(&firing.deployment, &firing.name), &schedule)?;
    place(commit, &deployment, &schedule);
    for (change, firings) in [("skipped", firing.skipped), ("missed", firing.missed)] {
        if firings > 0 {
            announce(commit, &schedule, change, firings, now)?;
        }
    }
    Ok(true)
}

fn announce(
    commit: &mut Commit<'_, '_>,
    schedule: &Schedule,
    change: &str,
    firings: u64,
    now: Timestamp,
) -> Result<()> {
    let (deployment, name) = (schedule.deployment.clone(), schedule.name.clone());
    commit.announce(now, &FeedEvent::Schedule { deployment, name, change: change.into(), firings })
}

pub(super) fn pause(
    commit: &mut Commit<'_, '_>,
    deployment: &DeploymentName,
    name: &ScheduleName,
    pause: Option<Pause>,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<Schedule> {
    let mut schedule = get(commit, deployment, name)?.ok_or_else(|| unknown(deployment, name))?;
    let parent = deployments::get(commit, deployment)?.ok_or_else(|| runs::no_deployment(deployment))?;
    unplace(commit, &schedule);
    let change = if pause.is_some() { "paused" } else { "resumed" };
    if pause.is_none() {
        schedule.next = next;
    }
    schedule.paused = pause;
    commit.put_record(SCHEDULES, &key(deployment, name), &schedule)?;
    place(commit, &parent, &schedule);
    announce(commit, &schedule, change, 0, now)?;
    Ok(schedule)
}

pub(super) fn watermark(store: &impl Reads, stream: &DeploymentName) -> Result<Option<Timestamp>> {
    store.record(WATERMARKS, stream.as_str().as_bytes())
}
