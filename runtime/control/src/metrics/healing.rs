//! The metrics of incidents and repairs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tidemill_core::Timestamp;
use tidemill_core::healing::{Incident, IncidentPhase};

/// Buckets of the times to detect and to recover, in seconds: from one second to an hour.
const SECONDS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IncidentLabels {
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RepairLabels {
    step: &'static str,
    result: &'static str,
}

/// The metrics of incidents and repairs.
#[derive(Debug)]
pub(crate) struct HealingMetrics {
    incidents: Family<IncidentLabels, Counter>,
    pub(crate) open: Gauge,
    repairs: Family<RepairLabels, Counter>,
    detection: Histogram,
    recovery: Histogram,
}

impl Default for HealingMetrics {
    fn default() -> Self {
        Self {
            incidents: Family::default(),
            open: Gauge::default(),
            repairs: Family::default(),
            detection: Histogram::new(SECONDS),
            recovery: Histogram::new(SECONDS),
        }
    }
}

impl HealingMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("incidents", "Incidents that were opened", self.incidents.clone());
        registry.register("incidents_open", "Incidents that have not ended", self.open.clone());
        registry.register("repairs", "Steps of repairs, by what became of them", self.repairs.clone());
        let (detection, recovery) = (self.detection.clone(), self.recovery.clone());
        let help = "Time from the beginning of trouble to its detection";
        registry.register_with_unit("incident_detection", help, Unit::Seconds, detection);
        let help = "Time from the detection of trouble to the recovery of the deployment";
        registry.register_with_unit("incident_recovery", help, Unit::Seconds, recovery);
    }

    /// Counts an incident that was opened.
    pub(crate) fn count_opening(&self, incident: &Incident) {
        self.incidents.get_or_create(&IncidentLabels { severity: incident.severity.as_str() }).inc();
        self.detection.observe(seconds(incident.began_at, incident.detected_at));
    }

    /// Counts an incident that has ended.
    pub(crate) fn count_end(&self, incident: &Incident) {
        if let (IncidentPhase::Resolved, Some(ended_at)) = (incident.phase, incident.ended_at) {
            self.recovery.observe(seconds(incident.detected_at, ended_at));
        }
    }

    /// Counts what became of a step.
    pub(crate) fn count_repair(&self, step: &'static str, result: &'static str) {
        self.repairs.get_or_create(&RepairLabels { step, result }).inc();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram needs no more than 15 digits")]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.millis_since(from) as f64 / 1e3
}
