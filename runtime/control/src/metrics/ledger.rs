//! Metrics of the ledger.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tidemill_core::Timestamp;
use tidemill_store::records::{LedgerCheck, LedgerHead};

/// The ledger's size, its open reservations and its last check.
#[derive(Debug, Default)]
pub(crate) struct LedgerMetrics {
    entries: Gauge,
    open_reservations: Gauge,
    findings: Gauge,
    pub(crate) reservations_expired: Counter,
    pub(crate) grants_lapsed: Counter,
    checked: Gauge,
    problems: Gauge,
}

impl LedgerMetrics {
    /// Records the result of a check that began at `at`.
    pub(crate) fn checked(&self, at: Timestamp, check: &LedgerCheck) {
        self.checked.set(i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX));
        self.problems.set(i64::try_from(check.problems.len()).unwrap_or(i64::MAX));
    }

    /// Sets the size of the ledger.
    pub(crate) fn set_size(&self, head: &LedgerHead, open_reservations: u64, findings: u64) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.entries.set(number(head.sequence));
        self.open_reservations.set(number(open_reservations));
        self.findings.set(number(findings));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("ledger_entries", "Entries of the ledger", self.entries.clone());
        registry.register("ledger_reservations", "Open reservations", self.open_reservations.clone());
        registry.register("ledger_findings", "Open findings about the ledger", self.findings.clone());
        registry.register(
            "ledger_reservations_expired",
            "Reservations whose amount was returned because their time was over",
            self.reservations_expired.clone(),
        );
        registry.register(
            "ledger_grants_lapsed",
            "Grants whose rest was posted because their time was over",
            self.grants_lapsed.clone(),
        );
        registry.register_with_unit(
            "ledger_checked_timestamp",
            "Start time of the last check of the ledger, since 1970; 0 if there was none since the start",
            Unit::Seconds,
            self.checked.clone(),
        );
        registry.register(
            "ledger_check_problems",
            "Differences that the last check of the ledger found, at most 100",
            self.problems.clone(),
        );
    }
}
