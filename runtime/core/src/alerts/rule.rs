//! Rules: which conditions raise alerts, and how urgent those are.

use super::{AlertSeverity, BurnSpeed};
use crate::health::{HealthStatus, SignalKind};
use crate::ids::{AlertRuleName, DeploymentName};
use crate::policy::fits;

/// The names of the vitals of the host.
pub const VITALS: [&str; 7] =
    ["commit-seconds", "store-failures", "run-slots", "loop-lateness", "free-disk", "resident-memory", "store-damage"];

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertCondition {
    /// A deployment has this status: degraded or unhealthy.
    Health(HealthStatus),
    /// A signal of a deployment is abnormal.
    Signal(SignalKind),
    /// A vital of the host is abnormal: the one with this name, or any.
    Vital(Option<String>),
    /// A deployment uses up its error budget too fast.
    BurnRate(BurnSpeed),
    /// An incident was opened or escalated. Another part of the host reports it.
    Incident,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    /// Its name.
    pub name: AlertRuleName,
    /// Whether it applies.
    pub enabled: bool,
    /// Its condition.
    pub condition: AlertCondition,
    /// How urgent its alerts are. Those about incidents are as urgent as the incident, but at most
    /// this urgent.
    pub severity: AlertSeverity,
    /// How long the condition must hold before an alert fires, in milliseconds.
    pub duration_millis: u64,
    /// How long the condition must not hold before the alert is over, in milliseconds.
    pub quiet_millis: u64,
    /// Minimum number of events, if the condition counts any: irregular firings, dead deliveries,
    /// attempts that miss an objective.
    pub minimum_events: u64,
    /// The deployments, by name or by the beginning of names that `*` follows; empty for all.
    pub deployments: Vec<String>,
    /// Names and values that its alerts carry.
    pub labels: Vec<(String, String)>,
}

impl AlertRule {
    /// Returns a rule with a condition and the defaults of everything else.
    #[must_use]
    pub fn new(name: AlertRuleName, condition: AlertCondition) -> Self {
        let minimum_events = match condition {
            AlertCondition::BurnRate(_) => 10,
            _ => 1,
        };
        // A condition that another part of the host reports ends when that part reports it.
        let quiet_millis = if condition == AlertCondition::Incident { 0 } else { 60_000 };
        Self {
            name,
            enabled: true,
            condition,
            severity: AlertSeverity::Ticket,
            duration_millis: 0,
            quiet_millis,
            minimum_events,
            deployments: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Whether the rule counts events.
    #[must_use]
    pub const fn counts_events(&self) -> bool {
        matches!(
            self.condition,
            AlertCondition::BurnRate(_)
                | AlertCondition::Signal(SignalKind::IrregularFirings | SignalKind::DeadDeliveries)
        )
    }

    /// Whether the rule applies to a deployment.
    #[must_use]
    pub fn applies_to(&self, deployment: &DeploymentName) -> bool {
        self.enabled
            && (self.deployments.is_empty()
                || self.deployments.iter().any(|pattern| fits(pattern, deployment.as_str())))
    }

    /// Returns the rules that a host has without any configuration.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        use AlertSeverity::{Page, Ticket};
        const MINUTE: u64 = 60_000;
        [
            ("unhealthy", AlertCondition::Health(HealthStatus::Unhealthy), Page, 0),
            ("degraded", AlertCondition::Health(HealthStatus::Degraded), Ticket, 15 * MINUTE),
            // A single slow reading after a pause of the machine is over within this time.
            ("vital", AlertCondition::Vital(None), Page, MINUTE),
            ("fast-burn", AlertCondition::BurnRate(BurnSpeed::Fast), Page, 0),
            ("slow-burn", AlertCondition::BurnRate(BurnSpeed::Slow), Ticket, 0),
            ("incident", AlertCondition::Incident, Page, 0),
        ]
        .into_iter()
        .filter_map(|(name, condition, severity, duration_millis)| {
            let name = name.parse().ok()?;
            Some(Self { severity, duration_millis, ..Self::new(name, condition) })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_applies_to_the_deployments_that_it_names() {
        let mut rule = AlertRule::new("x".parse().unwrap(), AlertCondition::Health(HealthStatus::Degraded));
        let shop: DeploymentName = "shop".parse().unwrap();
        assert!(rule.applies_to(&shop));
        rule.deployments = vec!["billing".to_owned(), "sh*".to_owned()];
        assert!(rule.applies_to(&shop) && !rule.applies_to(&"other".parse().unwrap()));
        rule.enabled = false;
        assert!(!rule.applies_to(&shop));
    }

    #[test]
    fn a_host_without_configuration_has_rules() {
        let names: Vec<_> = AlertRule::defaults().iter().map(|rule| rule.name.to_string()).collect();
        assert_eq!(names, ["unhealthy", "degraded", "vital", "fast-burn", "slow-burn", "incident"]);
    }
}
