//! What the host knows of all schedules: which are blocked, which are silent because the clock was
//! set back, and the wake-up of the scheduler.
//!
//! The checks are in `blocked`, `clock_setback` and `zone_changes`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::{Clock, DeploymentName, ScheduleName, Timestamp};
use tidemill_store::Store;
use tokio::sync::Notify;

use crate::deployment::active::DeploymentRegistry;
use crate::deployment::changes::DeploymentChanges;

/// Minimum silence of a schedule that causes a warning, in milliseconds. Clocks are adjusted by
/// less now and then.
pub(crate) const NOTABLE_MILLIS: u64 = 10_000;

/// The schedules of all deployments, with what checks them.
pub(crate) struct ScheduleMonitor {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deployments: Arc<DeploymentRegistry>,
    pub(crate) changes: Arc<DeploymentChanges>,
    pub(crate) policy: PolicyInForce,
    pub(crate) blocked: BlockedSchedules,
    pub(crate) setback: Setback,
    /// Wakes the scheduler: the next time of a schedule has changed.
    pub(crate) rescheduled: Notify,
}

/// Why a schedule is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleBlock {
    /// Whether the policy blocks it, as opposed to its time zone.
    pub by_policy: bool,
    /// Why, in words.
    pub detail: String,
}

pub(crate) type BlockMap = BTreeMap<DeploymentName, BTreeMap<ScheduleName, ScheduleBlock>>;

/// The blocked schedules as of the last check.
#[derive(Debug, Default)]
pub(crate) struct BlockedSchedules(pub(crate) ArcSwap<BlockMap>);

impl BlockedSchedules {
    pub(crate) fn all(&self) -> Arc<BlockMap> {
        self.0.load_full()
    }

    pub(crate) fn get(&self, deployment: &DeploymentName, name: &ScheduleName) -> Option<ScheduleBlock> {
        self.0.load().get(deployment)?.get(name).cloned()
    }

    /// Returns whether an unknown time zone blocks any schedule.
    pub(crate) fn has_unknown_zones(&self) -> bool {
        self.0.load().values().flat_map(BTreeMap::values).any(|block| !block.by_policy)
    }

    /// Forgets a deployment that has a new revision or was deleted. The caller holds the lock of
    /// changes.
    pub(crate) fn forget(&self, deployment: &DeploymentName) {
        if self.0.load().contains_key(deployment) {
            let mut all = BlockMap::clone(&self.0.load());
            all.remove(deployment);
            self.0.store(Arc::new(all));
        }
    }
}

/// Counts the blocked schedules.
pub(crate) fn count(all: &BlockMap) -> usize {
    all.values().map(BTreeMap::len).sum()
}

/// The schedules that are silent because the clock was set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSetBack {
    /// How far the clock was set back, in milliseconds: the step that the host saw, or the distance
    /// to the latest time that a silent schedule has processed, whichever is larger.
    pub back_millis: u64,
    /// Number of silent schedules.
    pub schedules: u64,
    /// When the last of them fires again.
    pub until: Timestamp,
    /// The first 20 of them by deployment and name, each with its next time.
    pub named: Vec<(DeploymentName, ScheduleName, Timestamp)>,
}

/// What the host knows of its clock.
#[derive(Debug, Default)]
pub(crate) struct Setback {
    /// The latest time that the scheduler has seen, in milliseconds.
    latest: AtomicU64,
    /// The size of the last step back, in milliseconds.
    step: AtomicU64,
    found: Mutex<Option<ClockSetBack>>,
}

impl Setback {
    /// Records the time. Returns whether it is notably earlier than a time recorded before.
    pub(crate) fn clock_went_back(&self, now: Timestamp) -> bool {
        let latest = self.latest.swap(now.as_millis(), Ordering::AcqRel);
        let step = latest.saturating_sub(now.as_millis());
        if step < NOTABLE_MILLIS {
            return false;
        }
        self.step.store(step, Ordering::Release);
        true
    }

    /// Returns the size of the last step back, in milliseconds.
    pub(crate) fn step_millis(&self) -> u64 {
        self.step.load(Ordering::Acquire)
    }

    pub(crate) fn found(&self) -> Option<ClockSetBack> {
        self.found.lock().clone()
    }

    pub(crate) fn replace(&self, found: Option<ClockSetBack>) -> Option<ClockSetBack> {
        std::mem::replace(&mut *self.found.lock(), found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_back_of_ten_seconds_are_noticed_once_and_smaller_ones_are_not() {
        let setback = Setback::default();
        let at = Timestamp::from_millis;
        for (now, back) in [(100_000, false), (90_001, false), (95_000, false), (85_000, true), (85_001, false)] {
            assert_eq!(setback.clock_went_back(at(now)), back, "{now}");
        }
    }
}
