//! Alerts and notifications, as the store exchanges them with its callers.

use tidemill_core::alerts::{Alert, AlertSeverity, AlertStep};
use tidemill_core::{AlertId, AlertRuleName, DeploymentName, Timestamp};

/// A change of an alert, with what identifies the notifications that it creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCommit {
    /// The change.
    pub change: AlertCommand,
    /// Random bits for the ids of the notifications.
    pub random: u128,
}

/// A change of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertCommand {
    /// An alert begins to fire, unless one with its key is open.
    Fire {
        /// The alert.
        alert: Box<Alert>,
        /// The step that announces it.
        announcement: Option<AlertStep>,
    },
    /// An alert takes a step, unless another one came first.
    Step {
        /// The alert.
        id: AlertId,
        /// The step.
        step: AlertStep,
    },
}

/// Selects alerts of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Of this rule.
    pub rule: Option<AlertRuleName>,
    /// About this deployment.
    pub deployment: Option<DeploymentName>,
    /// With this severity.
    pub severity: Option<AlertSeverity>,
}

impl AlertFilter {
    /// Whether it selects an alert.
    #[must_use]
    pub fn selects(&self, alert: &Alert) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == alert.key.rule)
            && self.deployment.as_ref().is_none_or(|name| alert.key.deployment.as_ref() == Some(name))
            && self.severity.is_none_or(|severity| severity == alert.severity)
    }
}

/// What one try to send a notification led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// Its receiver has accepted it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// The try failed, and another one follows.
    Failed {
        /// Why.
        error: String,
    },
    /// The host gives up.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
        /// Whether that was a try, rather than the end of the time for it.
        tried: bool,
    },
}
