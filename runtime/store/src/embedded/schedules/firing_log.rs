//! A schedule's list of irregular firings: the newest ones. Regular firings are not listed.

use tidemill_core::{Code, DeploymentName, ScheduleName, Timestamp};

use crate::embedded::tables::{FIRING_LIST, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{FeedEvent, FiringEntry, FiringFate, NominalRange, Schedule};

/// Maximum number of entries of one schedule.
const KEPT: u32 = 1_000;

pub(crate) fn prefix(deployment: &DeploymentName, name: &ScheduleName) -> Vec<u8> {
    name_key(deployment.as_str(), &name_key(name.as_str(), &[]))
}

/// Adds an entry to the list, announces it on the feed, and removes the oldest entries beyond the
/// maximum. The caller writes the schedule's record.
pub(crate) fn note(commit: &mut WriteTx<'_, '_>, schedule: &mut Schedule, entry: &FiringEntry) -> Result<()> {
    let prefix = prefix(&schedule.deployment, &schedule.name);
    let mut key = prefix.clone();
    key.extend_from_slice(&time_key(entry.seen, &entry.first.as_millis().to_be_bytes()));
    key.push(fate(entry.fate));
    if commit.bytes(FIRING_LIST, &key)?.is_none() {
        schedule.listed = schedule.listed.saturating_add(1);
    }
    commit.put_record(FIRING_LIST, &key, entry)?;
    if let Some(beyond) = schedule.listed.checked_sub(KEPT).filter(|beyond| *beyond > 0) {
        for (key, _) in commit.scan_prefix(FIRING_LIST, &prefix, usize::try_from(beyond).unwrap_or(1))? {
            commit.delete(FIRING_LIST, &key);
        }
        schedule.listed = KEPT;
    }
    announce(commit, schedule, entry.fate.as_str(), entry.count, None, entry.seen)
}

/// Lists nominal times that passed without being executed, as missed or paused.
pub(crate) fn list_passed(
    commit: &mut WriteTx<'_, '_>,
    schedule: &mut Schedule,
    fate: FiringFate,
    span: NominalRange,
    now: Timestamp,
) -> Result<()> {
    let NominalRange { first, last, count, more } = span;
    let code = Code::FiringMissed.as_str().to_owned();
    let entry = FiringEntry { fate, code, first, last, count, more, seen: now, run: None, operation: None };
    schedule.through = schedule.last_processed().max(Some(last));
    note(commit, schedule, &entry)
}

/// Announces a change of a schedule on the feed.
pub(crate) fn announce(
    commit: &mut WriteTx<'_, '_>,
    schedule: &Schedule,
    change: &str,
    firings: u64,
    note: Option<String>,
    now: Timestamp,
) -> Result<()> {
    let (deployment, name) = (schedule.deployment.clone(), schedule.name.clone());
    commit.announce(now, &FeedEvent::Schedule { deployment, name, change: change.into(), firings, note })
}

/// Deletes the list of a removed schedule.
pub(crate) fn forget(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) -> Result<()> {
    for (key, _) in commit.scan_prefix(FIRING_LIST, &prefix(&schedule.deployment, &schedule.name), usize::MAX)? {
        commit.delete(FIRING_LIST, &key);
    }
    Ok(())
}

/// Distinguishes entries of one nominal time that were written at the same moment.
const fn fate(fate: FiringFate) -> u8 {
    match fate {
        FiringFate::Skipped => 0,
        FiringFate::Dropped => 1,
        FiringFate::Late => 2,
        FiringFate::Missed => 3,
        FiringFate::Paused => 4,
    }
}
