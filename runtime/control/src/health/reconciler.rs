//! The loop that observes the deployments that are due and the vitals of the host, and records
//! that the host runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::health::observe;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Minimum time between two ticks, in milliseconds, so that many deployments need few ticks.
const TICK_MILLIS: u64 = 100;
/// Maximum time between two ticks, in milliseconds: a new deployment is noticed by then.
const TICK_MAX_MILLIS: u64 = 1_000;

/// The loop that observes the health of deployments.
pub(crate) struct HealthReconciler {
    host: Arc<HostState>,
    /// When the next tick was due, in milliseconds.
    planned: AtomicU64,
}

impl HealthReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host), planned: AtomicU64::new(u64::MAX) }
    }
}

#[async_trait]
impl Reconciler for HealthReconciler {
    fn name(&self) -> &'static str {
        "health"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let due = self.host.health.take_due(&self.host.deployments, now);
        let found = due.len();
        for live in due {
            observe::spawn(&self.host, live);
        }
        let late = now.as_millis().saturating_sub(self.planned.load(Ordering::Relaxed));
        self.host.health.vitals.observe(&self.host, late, now);
        if self.host.health.is_alive_mark_due(now) {
            self.host.health.mark_alive(&*self.host.store, now).await?;
        }
        let latest = now.plus_millis(TICK_MAX_MILLIS);
        let next = self.host.health.next().map_or(latest, |next| next.max(now.plus_millis(TICK_MILLIS)).min(latest));
        self.planned.store(next.as_millis(), Ordering::Relaxed);
        Ok(TickReport { found, done: found, failed: 0, next: NextTick::At(next) })
    }

    async fn woken(&self) {
        self.host.health.woken().await;
    }
}
