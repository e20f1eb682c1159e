//! What the hooks of a host share in memory. A restart may lose all of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidemill_core::{DeploymentName, HookName};
use tidemill_webhook::ClockOffsetDetector;
use tokio::sync::Notify;

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
}

/// The hooks of all deployments.
#[derive(Debug)]
pub(crate) struct HookMonitor {
    pub(crate) bodies: BodyCodec,
    statuses: Mutex<HashMap<(DeploymentName, HookName), Arc<HookStatus>>>,
}

impl HookMonitor {
    pub(crate) fn new(bodies: BodyCodec) -> Self {
        Self { bodies, statuses: Mutex::default() }
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
