//! What the hooks of a host share in memory. A restart may lose all of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::flow::Rate;
use tidemill_core::{DeliveryId, DeploymentName, HookName, Timestamp};
use tidemill_webhook::ClockOffsetDetector;
use tokio::sync::Notify;

use crate::hook::paypal::PaypalVerification;
use crate::hook::refusals::RefusalLog;
use crate::hook::stored_body::BodyCodec;
use crate::hook::throttle::HookThrottle;

/// What one hook remembers in memory.
#[derive(Debug, Default)]
pub(crate) struct HookStatus {
    pub(crate) refusals: RefusalLog,
    pub(crate) throttle: HookThrottle,
    /// Finds out whether the clock of the host is wrong.
    pub(crate) clock: Mutex<ClockOffsetDetector>,
    /// The deliveries that contradict an earlier one of the same transmission.
    pub(crate) forgeries: Mutex<Option<Forgeries>>,
    /// Limits log lines that every sender can cause.
    warnings: HookThrottle,
}

impl HookStatus {
    /// Returns whether to log a warning that every sender can cause: one in a minute.
    pub(crate) fn may_warn(&self, now: Duration) -> bool {
        self.warnings.take(Rate { runs: 1, per_millis: 60_000 }, now).is_ok()
    }

    /// Counts a delivery that contradicts the delivery `of`.
    pub(crate) fn note_forgery(&self, of: DeliveryId, at: Timestamp) {
        let mut forgeries = self.forgeries.lock();
        let count = forgeries.map_or(0, |known| known.count).saturating_add(1);
        *forgeries = Some(Forgeries { count, last_of: of, last_at: at });
    }
}

/// Deliveries since the host's start whose body contradicts an earlier one of the same
/// transmission: someone can forge bodies under a valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgeries {
    /// Their number.
    pub count: u64,
    /// The delivery that the last one contradicts.
    pub last_of: DeliveryId,
    /// When the last one was received.
    pub last_at: Timestamp,
}

/// The hooks of all deployments.
#[derive(Debug)]
pub(crate) struct HookMonitor {
    pub(crate) bodies: BodyCodec,
    pub(crate) paypal: PaypalVerification,
    statuses: Mutex<HashMap<(DeploymentName, HookName), Arc<HookStatus>>>,
}

impl HookMonitor {
    pub(crate) fn new(bodies: BodyCodec, paypal: PaypalVerification) -> Self {
        Self { bodies, paypal, statuses: Mutex::default() }
    }

    /// Returns what a hook remembers.
    pub(crate) fn of(&self, deployment: &DeploymentName, hook: &HookName) -> Arc<HookStatus> {
        Arc::clone(self.statuses.lock().entry((deployment.clone(), hook.clone())).or_default())
    }

    /// Forgets the hooks of a deployment that `keep` does not select, and returns their names.
    pub(crate) fn retain(&self, deployment: &DeploymentName, keep: impl Fn(&HookName) -> bool) -> Vec<HookName> {
        let mut statuses = self.statuses.lock();
        let forgotten = statuses.extract_if(|(of, hook), _| of == deployment && !keep(hook));
        forgotten.map(|((_, hook), _)| hook).collect()
    }

    /// Returns the measured offset of the clock of each hook that shows one, in milliseconds.
    pub(crate) fn clock_offsets(&self) -> Vec<(DeploymentName, HookName, i64)> {
        let statuses = self.statuses.lock();
        let offsets = statuses.iter().filter_map(|((deployment, hook), status)| {
            let offset = status.clock.lock().offset_millis()?;
            Some((deployment.clone(), hook.clone(), offset))
        });
        offsets.collect()
    }
}

impl HookMonitor {
    /// Returns the forgeries of each hook that received one.
    pub(crate) fn forgeries(&self) -> Vec<(DeploymentName, HookName, Forgeries)> {
        let statuses = self.statuses.lock();
        let found = statuses.iter().filter_map(|((deployment, hook), status)| {
            let forgeries = (*status.forgeries.lock())?;
            Some((deployment.clone(), hook.clone(), forgeries))
        });
        found.collect()
    }
}

/// Wakes the loop that admits waiting deliveries.
#[derive(Debug)]
pub(crate) struct BacklogSignal {
    /// Whether deliveries may wait.
    waiting: AtomicBool,
    wake: Notify,
}

impl Default for BacklogSignal {
    fn default() -> Self {
        // Deliveries of the previous epoch may wait.
        Self { waiting: AtomicBool::new(true), wake: Notify::new() }
    }
}

impl BacklogSignal {
    /// Notes that a delivery waits.
    pub(crate) fn note_waiting(&self) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Notes that there may be room for waiting deliveries.
    pub(crate) fn note_room(&self) {
        if self.waiting.load(Ordering::Acquire) {
            self.wake.notify_one();
        }
    }

    /// Clears the note before the loop looks at the store, so that a delivery that starts to
    /// wait in between sets it again.
    pub(crate) fn clear(&self) {
        self.waiting.store(false, Ordering::Release);
    }

    /// Sets the note again because deliveries still wait.
    pub(crate) fn keep(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
