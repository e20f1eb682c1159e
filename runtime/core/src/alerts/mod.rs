//! Alerts: when something is wrong, who is notified of it, how often, and when it is over.
//!
//! A rule names a condition. While the condition holds, a [`ConditionRecord`] waits for the rule's
//! duration; then an [`Alert`] begins to fire. There is one alert for each [`AlertKey`], however
//! often its condition occurs. [`AlertBook`] decides which step is due for each alert, and
//! [`Alert::next`] is the only way from one state to the next. Both are pure: the caller commits a
//! step together with its notifications, and a step that another one has overtaken is refused.

mod alert;
mod book;
mod burn;
mod channel;
mod condition;
mod config;
mod history;
mod notification;
mod read;
mod rule;
mod silence;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AlertRuleName, DeploymentName, Timestamp};

pub use alert::{Acknowledgement, Alert, AlertState, AlertStep, AlertTransition, IllegalAlertStep};
pub use book::{AlertBook, AlertChange, AlertPlan, ObservedScope};
pub use burn::{BURN_WINDOWS, BurnRate, BurnSpeed, BurnWindow, burn_rate, error_budget_left, is_burning};
pub use channel::{ChannelSpec, EmailSpec, EmailTls};
pub use condition::{ConditionPhase, ConditionRecord, HoldingCondition};
pub use config::{ALERT_CONFIG_BYTES, AlertConfig, AlertsInForce, CHANNELS, NotificationRoute, RULES};
pub use history::{ServiceCounts, ServiceHistory, ServiceWindow};
pub use notification::{NOTIFICATION_ERROR_BYTES, Notice, NoticeKind, Notification, NotificationState};
pub use rule::{AlertCondition, AlertRule, VITALS};
pub use silence::{InvalidSilence, NewSilence, SILENCE_MAX_MILLIS, Silence, SilenceMatcher};

/// Maximum size of a summary, in bytes.
pub const SUMMARY_BYTES: usize = 512;
/// Maximum size of the subject of a key, in bytes.
pub const SUBJECT_BYTES: usize = 128;
/// Maximum number of conditions that hold at once. More are counted, and raise no alert.
pub const CONDITIONS_MAX: usize = 10_000;

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertSeverity {
    /// A person should look at it within days.
    Ticket,
    /// A person should look at it now.
    Page,
}

impl AlertSeverity {
    /// Every severity, from the least urgent.
    pub const ALL: [Self; 2] = [Self::Ticket, Self::Page];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

impl FromStr for AlertSeverity {
    type Err = UnknownAlertSeverity;

    fn from_str(text: &str) -> Result<Self, UnknownAlertSeverity> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text).ok_or(UnknownAlertSeverity)
    }
}

/// A text is not the name of a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a severity is `page` or `ticket`")]
pub struct UnknownAlertSeverity;

/// What an alert is about. All that happens under one key is one alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// The rule.
    pub rule: AlertRuleName,
    /// The deployment; `None` if it is about the host.
    pub deployment: Option<DeploymentName>,
    /// What of them, such as a vital of the host or the key of an event; empty if the rule and the
    /// deployment say enough. At most [`SUBJECT_BYTES`].
    pub subject: String,
}

/// Whether a source's trouble begins or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventState {
    /// It has begun, or has become worse.
    Firing,
    /// It is over.
    Resolved,
}

/// Trouble that another part of the host reports, such as an incident. It takes the same way as a
/// condition that the host observes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvent {
    /// The same for everything that is one alert, such as the number of an incident. At most
    /// [`SUBJECT_BYTES`].
    pub key: String,
    /// The deployment; `None` if it is about the host.
    pub deployment: Option<DeploymentName>,
    /// How urgent it is. A more urgent event makes the alert more urgent.
    pub severity: AlertSeverity,
    /// Whether it begins or is over.
    pub state: EventState,
    /// One sentence for a person.
    pub summary: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Cuts a text to `most` bytes at the end of a character, and removes control characters.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    while line.len() > most {
        line.pop();
    }
    line
}
