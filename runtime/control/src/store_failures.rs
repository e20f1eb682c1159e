//! Counts and logs failures of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_core::Clock;
use tidemill_store::StoreError;

use crate::metrics::Metrics;

/// Minimum interval between logged store failures, in milliseconds.
const REPORT_INTERVAL_MILLIS: u64 = 1_000;

/// The failures of the store.
pub(crate) struct StoreFailures {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// When one was last logged, in milliseconds.
    reported: AtomicU64,
}

impl StoreFailures {
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, reported: AtomicU64::new(0) }
    }

    /// Counts and logs an error, unless it is about the request. On a busy host every call meets
    /// the same full disk, so at most one line per second is logged.
    pub(crate) fn record(&self, error: &StoreError) {
        if error.is_transient() || matches!(error, StoreError::ReadOnly { .. } | StoreError::Damaged { .. }) {
            self.metrics.store_errors.inc();
            let now = self.clock.now().as_millis();
            let last = self.reported.swap(now, Ordering::AcqRel);
            if now.abs_diff(last) >= REPORT_INTERVAL_MILLIS {
                tracing::warn!(%error, code = %error.code(), "the store failed");
            } else {
                self.reported.store(last, Ordering::Release);
            }
        }
    }
}
