//! A schedule's list of irregular firings: the newest ones. Regular firings are not listed.

use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::read_tx::ReadTx;
use crate::embedded::tables::{FIRING_LIST, at, under};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{FeedEvent, FiringEntry, FiringFate, Page, PageRequest, Schedule};

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum number of entries of one schedule.
const KEPT: u32 = 1_000;

fn of(deployment: &DeploymentName, name: &ScheduleName) -> Vec<u8> {
    under(deployment.as_str(), &under(name.as_str(), &[]))
}

/// Adds an entry to the list, announces it on the feed, and removes the oldest entries beyond the
/// maximum. The caller writes the schedule's record.
pub(crate) fn note(commit: &mut WriteTx<'_, '_>, schedule: &mut Schedule, entry: &FiringEntry) -> Result<()> {
    let prefix = of(&schedule.deployment, &schedule.name);
    let mut key = prefix.clone();
    key.extend_from_slice(&at(entry.seen, &entry.first.as_millis().to_be_bytes()));
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

/// Lists the entries, newest first.
pub(crate) fn list(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &ScheduleName,
    page: &PageRequest,
) -> Result<Page<FiringEntry>> {
    let found = store.page(FIRING_LIST, &of(deployment, name), true, page)?;
    found.try_map(|(_, bytes)| decode(FIRING_LIST, &bytes))
}

/// Deletes the list of a removed schedule.
pub(crate) fn forget(commit: &mut WriteTx<'_, '_>, schedule: &Schedule) -> Result<()> {
    for (key, _) in commit.scan_prefix(FIRING_LIST, &of(&schedule.deployment, &schedule.name), usize::MAX)? {
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
