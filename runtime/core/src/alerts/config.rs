//! The operator's configuration of alerts: rules, channels, and which alert goes where.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::channel::ChannelSpec;
use super::rule::AlertRule;
use super::{AlertKey, AlertSeverity};
use crate::ids::{AlertRuleName, ChannelName};

/// Maximum size of a configuration of alerts, in bytes.
pub const ALERT_CONFIG_BYTES: usize = 256 * 1024;
/// Maximum number of rules, with the default ones.
pub const RULES: usize = 200;
/// Maximum number of channels.
pub const CHANNELS: usize = 32;

/// Where alerts of one severity are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRoute {
    /// The channels that know of an alert at once.
    pub channels: Vec<ChannelName>,
    /// The channels that learn of it one after another, while no person acknowledges it.
    pub escalation: Vec<ChannelName>,
    /// The time before each escalation, in milliseconds.
    pub escalate_after_millis: u64,
}

impl Default for NotificationRoute {
    fn default() -> Self {
        Self { channels: Vec::new(), escalation: Vec::new(), escalate_after_millis: 15 * 60_000 }
    }
}

/// Rules, channels and routes. The default has the default rules and no channels: alerts are
/// recorded and shown, and none is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertConfig {
    /// The rules by name, those that are not enabled included.
    pub rules: BTreeMap<AlertRuleName, AlertRule>,
    /// The channels by name.
    pub channels: BTreeMap<ChannelName, ChannelSpec>,
    /// Where pages are sent.
    pub page: NotificationRoute,
    /// Where tickets are sent.
    pub ticket: NotificationRoute,
    /// The time after which an alert that still fires is announced again, in milliseconds.
    pub repeat_millis: u64,
    /// The time after which a notification is given up, in milliseconds.
    pub give_up_millis: u64,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            rules: AlertRule::defaults().into_iter().map(|rule| (rule.name.clone(), rule)).collect(),
            channels: BTreeMap::new(),
            page: NotificationRoute::default(),
            ticket: NotificationRoute::default(),
            repeat_millis: 4 * 3_600_000,
            give_up_millis: 24 * 3_600_000,
        }
    }
}

impl AlertConfig {
    /// Returns where alerts of a severity are sent.
    #[must_use]
    pub const fn route(&self, severity: AlertSeverity) -> &NotificationRoute {
        match severity {
            AlertSeverity::Page => &self.page,
            AlertSeverity::Ticket => &self.ticket,
        }
    }

    /// Returns the rule of an alert, if it exists and applies to it.
    #[must_use]
    pub fn rule(&self, key: &AlertKey) -> Option<&AlertRule> {
        let rule = self.rules.get(&key.rule).filter(|rule| rule.enabled)?;
        key.deployment.as_ref().is_none_or(|deployment| rule.applies_to(deployment)).then_some(rule)
    }

    /// Returns the rules that apply.
    pub fn enabled_rules(&self) -> impl Iterator<Item = &AlertRule> {
        self.rules.values().filter(|rule| rule.enabled)
    }
}

/// The configuration in force. Clones share it; the operator may replace it while the host runs.
#[derive(Debug, Clone, Default)]
pub struct AlertsInForce(Arc<RwLock<Arc<AlertConfig>>>);

impl AlertsInForce {
    /// Puts a configuration in force.
    #[must_use]
    pub fn new(config: AlertConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn now(&self) -> Arc<AlertConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration.
    pub fn replace(&self, config: AlertConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}
