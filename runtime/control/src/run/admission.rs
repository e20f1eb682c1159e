//! When waiting runs are admitted: the node's limiter, the deployments that may have due runs, and
//! the time at which delayed runs become due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidemill_core::{Clock, DeploymentName, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::deployment::limiter::NodeLimiter;
use crate::hook::state::BacklogSignal;

/// The admission of runs on this node.
pub(crate) struct Admission {
    pub(crate) node: Arc<NodeLimiter>,
    deployments: Arc<DeploymentRegistry>,
    clock: Arc<dyn Clock>,
    /// When the dispatcher must next look for delayed runs, in milliseconds.
    pub(crate) delayed_until: AtomicU64,
    recovering: AtomicBool,
    /// Wakes the loop that admits waiting deliveries to hooks.
    pub(crate) deliveries: BacklogSignal,
}

impl Admission {
    /// Returns an admission that stays closed until leftover runs are recovered.
    pub(crate) fn new(concurrency: u32, deployments: Arc<DeploymentRegistry>, clock: Arc<dyn Clock>) -> Self {
        let node = NodeLimiter::new(concurrency);
        node.set_open(false);
        Self {
            node,
            deployments,
            clock,
            delayed_until: AtomicU64::new(0),
            recovering: AtomicBool::new(true),
            deliveries: BacklogSignal::default(),
        }
    }

    /// Opens admission, unless the host is closing: every run of the previous epoch is recovered.
    pub(crate) fn end_recovery(&self, closing: &CancellationToken) {
        if self.recovering.swap(false, Ordering::AcqRel) && !closing.is_cancelled() {
            self.node.set_open(true);
        }
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Records that a run waits in the queue from `not_before`, and notifies the dispatcher.
    pub(crate) fn note_queued(&self, live: &ActiveDeployment, not_before: Timestamp) {
        live.limiter.add_queued(1);
        if not_before <= self.clock.now() {
            self.node.backlog.add(&live.limiter);
        } else {
            self.note_delayed(not_before);
        }
    }

    /// Records that a run is due at `not_before`.
    pub(crate) fn note_delayed(&self, not_before: Timestamp) {
        if self.delayed_until.fetch_min(not_before.as_millis(), Ordering::AcqRel) > not_before.as_millis() {
            self.node.backlog.wake();
        }
    }

    /// Adds deployments with due runs to the backlog.
    pub(crate) fn note_due(&self, deployments: &[DeploymentName]) {
        for live in deployments.iter().filter_map(|name| self.deployments.get(name)) {
            self.node.backlog.add(&live.limiter);
        }
    }

    /// Counts one more queued run for each of these deployments.
    pub(crate) fn count_queued(&self, deployments: &[DeploymentName]) {
        for live in deployments.iter().filter_map(|name| self.deployments.get(name)) {
            live.limiter.add_queued(1);
        }
    }
}
