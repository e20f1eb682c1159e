//! The figures of a deployment in one interval, from its counters.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_core::alerts::ServiceCounts;
use tidemill_core::health::IntervalFigures;

use crate::deployment::active::ActiveDeployment;

/// The counters of a deployment at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FigureSnapshot {
    attempts: u64,
    failed: u64,
    slow: u64,
    busy_micros: u64,
    fuel: u64,
    irregular_firings: u64,
    dead_deliveries: u64,
}

impl FigureSnapshot {
    /// Reads the counters of a deployment.
    fn of(live: &ActiveDeployment) -> Self {
        let counters = &live.metrics.health;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            attempts: read(&counters.attempts),
            failed: read(&counters.failed),
            slow: read(&counters.slow),
            busy_micros: read(&counters.busy_micros),
            fuel: read(&counters.fuel),
            irregular_firings: live.metrics.irregular_firings(),
            dead_deliveries: read(&counters.dead_deliveries),
        }
    }

    /// Returns the attempts since `before`.
    pub(crate) fn attempts_since(self, before: Self) -> ServiceCounts {
        ServiceCounts {
            attempts: self.attempts.saturating_sub(before.attempts),
            failed: self.failed.saturating_sub(before.failed),
            slow: self.slow.saturating_sub(before.slow),
        }
    }

    /// Returns what has happened since this snapshot, and the new one. Times of waiting and the lag
    /// are left to the caller.
    pub(crate) fn since(self, live: &ActiveDeployment) -> (IntervalFigures, Self) {
        let now = Self::of(live);
        let peak_memory = live.metrics.health.peak_memory.swap(0, Ordering::Relaxed);
        let figures = IntervalFigures {
            attempts: now.attempts.saturating_sub(self.attempts),
            failed: now.failed.saturating_sub(self.failed),
            busy_micros: now.busy_micros.saturating_sub(self.busy_micros),
            fuel: now.fuel.saturating_sub(self.fuel),
            peak_memory,
            memory_limit: live.plan.limits.memory,
            irregular_firings: now.irregular_firings.saturating_sub(self.irregular_firings),
            dead_deliveries: now.dead_deliveries.saturating_sub(self.dead_deliveries),
            queued: live.limiter.queued(),
            ..IntervalFigures::default()
        };
        (figures, now)
    }
}
