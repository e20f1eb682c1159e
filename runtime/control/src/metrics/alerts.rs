//! The metrics of alerts and of the notifications about them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tidemill_core::ChannelName;
use tidemill_core::alerts::AlertSeverity;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabels {
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    channel: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
}

/// The metrics of alerts.
#[derive(Debug, Default)]
pub(crate) struct AlertMetrics {
    firing: Family<SeverityLabels, Gauge>,
    notifications: Family<OutcomeLabels, Counter>,
    waiting: Family<ChannelLabels, Gauge>,
}

impl AlertMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("alerts_firing", "Alerts that are not over, by severity", Family::clone(&self.firing));
        registry.register(
            "alert_notifications",
            "Tries to send a notification about an alert, by channel and outcome (sent, failed, dead)",
            Family::clone(&self.notifications),
        );
        registry.register(
            "alert_notifications_waiting",
            "Notifications that wait for a channel",
            Family::clone(&self.waiting),
        );
    }

    /// Counts a try to send a notification.
    pub(crate) fn count(&self, channel: &str, outcome: &'static str) {
        self.notifications.get_or_create(&OutcomeLabels { channel: channel.to_owned(), outcome }).inc();
    }

    /// Sets the number of open alerts of a severity.
    pub(crate) fn set_firing(&self, severity: AlertSeverity, alerts: usize) {
        let of = SeverityLabels { severity: severity.as_str() };
        self.firing.get_or_create(&of).set(i64::try_from(alerts).unwrap_or(i64::MAX));
    }

    /// Sets the number of waiting notifications of each channel.
    pub(crate) fn set_waiting(&self, counts: &[(ChannelName, u64)]) {
        self.waiting.clear();
        for (channel, waiting) in counts {
            let of = ChannelLabels { channel: channel.to_string() };
            self.waiting.get_or_create(&of).set(i64::try_from(*waiting).unwrap_or(i64::MAX));
        }
    }
}
