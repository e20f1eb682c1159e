//! Checks periodically whether the system's zone data has changed.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::schedule::monitor::ScheduleMonitor;
use crate::state::HostState;

/// Interval between two checks, in milliseconds.
const INTERVAL: u64 = 600_000;

/// The loop that checks for changed zone data.
pub(crate) struct ZoneReconciler {
    schedules: Arc<ScheduleMonitor>,
}

impl ZoneReconciler {
    pub(crate) const NAME: &str = "zones";

    pub(crate) fn new(host: &HostState) -> Self {
        Self { schedules: Arc::clone(&host.schedules) }
    }
}

#[async_trait]
impl Reconciler for ZoneReconciler {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let moved = self.schedules.refresh_zones().await?;
        Ok(TickReport { found: moved, done: moved, failed: 0, next: NextTick::At(now.plus_millis(INTERVAL)) })
    }
}
