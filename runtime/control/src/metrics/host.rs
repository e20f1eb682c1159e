//! The gauges of the host.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tidemill_core::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ScrubLabels {
    scope: &'static str,
    result: &'static str,
}

/// The host's present state.
#[derive(Debug, Default)]
pub(crate) struct HostGauges {
    pub(crate) syncs: Gauge,
    pub(crate) store_good: Gauge,
    pub(crate) store_scrubbed: Gauge,
    pub(crate) store_damaged: Gauge,
    pub(crate) scrubs: Family<ScrubLabels, Counter>,
    pub(crate) suspended: Gauge,
    pub(crate) orphaned: Gauge,
    pub(crate) index_live_bytes: Gauge,
    pub(crate) index_used_bytes: Gauge,
    pub(crate) guests_running: Gauge,
    pub(crate) guests_waiting: Gauge,
    pub(crate) modules: Gauge,
    pub(crate) compiled: Gauge,
    pub(crate) loaded: Gauge,
}

impl HostGauges {
    /// Records that a scrub which began at `at` found everything sound. The gauge never goes back.
    pub(crate) fn scrubbed(&self, at: Timestamp) {
        let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
        self.store_scrubbed.set(self.store_scrubbed.get().max(seconds));
        self.store_damaged.set(0);
    }

    /// Counts a finished scrub.
    pub(crate) fn count_scrub(&self, scope: &'static str, result: &'static str) {
        self.scrubs.get_or_create(&ScrubLabels { scope, result }).inc();
    }
}
