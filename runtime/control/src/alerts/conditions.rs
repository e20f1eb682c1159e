//! Which conditions of the rules hold, from what the host observes.

use tidemill_core::alerts::{
    AlertCondition, AlertConfig, AlertEvent, AlertKey, AlertRule, AlertSeverity, BurnRate, EventState,
    HoldingCondition, SUMMARY_BYTES, ServiceHistory, one_line,
};
use tidemill_core::healing::{Incident, IncidentPhase};
use tidemill_core::health::{HealthSignal, HealthState};
use tidemill_core::manifest::ServiceLevel;
use tidemill_core::{DeploymentName, Timestamp};

use crate::health::Vital;

/// What an observation shows of a deployment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObservedHealth<'a> {
    pub(crate) state: &'a HealthState,
    pub(crate) signals: &'a [HealthSignal],
    pub(crate) objectives: &'a ServiceLevel,
    pub(crate) history: &'a ServiceHistory,
}

/// Returns the conditions that hold for a deployment.
pub(super) fn of_deployment(
    config: &AlertConfig,
    deployment: &DeploymentName,
    health: &ObservedHealth<'_>,
    now: Timestamp,
) -> Vec<HoldingCondition> {
    let mut found = Vec::new();
    for rule in config.enabled_rules().filter(|rule| rule.applies_to(deployment)) {
        let mut add = |subject: &str, summary: &str, since: Timestamp| {
            found.push(holding(rule, Some(deployment), subject, summary, since));
        };
        match &rule.condition {
            AlertCondition::Health(status) if health.state.status == *status => {
                let reason = health.state.reason.as_deref().unwrap_or(status.as_str());
                add("", reason, health.state.since.unwrap_or(now));
            }
            AlertCondition::Signal(kind) => {
                let signal = health.signals.iter().find(|signal| signal.kind == *kind);
                let problem = signal.and_then(|signal| Some((signal.value, signal.problem.as_deref()?)));
                if let Some((value, problem)) = problem
                    && (!rule.counts_events() || is_enough(value, rule.minimum_events))
                {
                    add("", problem, now);
                }
            }
            AlertCondition::BurnRate(speed) => {
                for objective in health.objectives.objectives() {
                    let found = BurnRate::find(health.history, &objective, *speed, rule.minimum_events, now);
                    if let Some(rate) = found {
                        add(objective.as_str(), &rate.text(&objective), now);
                    }
                }
            }
            AlertCondition::Health(_) | AlertCondition::Vital(_) | AlertCondition::Incident => {}
        }
    }
    found
}

/// Returns the conditions that hold for the host.
pub(super) fn of_host(config: &AlertConfig, vitals: &[Vital], now: Timestamp) -> Vec<HoldingCondition> {
    let mut found = Vec::new();
    for rule in config.enabled_rules() {
        let AlertCondition::Vital(wanted) = &rule.condition else { continue };
        for vital in vitals.iter().filter(|vital| wanted.as_ref().is_none_or(|name| name == vital.name)) {
            if let Some(problem) = &vital.problem {
                found.push(holding(rule, None, vital.name, problem, now));
            }
        }
    }
    found
}

/// What the keys of incidents begin with.
pub(super) const INCIDENT: &str = "incident-";

/// Returns what an open incident reports, if it needs a person: no repair has helped, or it is one
/// of the host itself. Before a repair, the health that led to it is announced already.
pub(super) fn of_incident(incident: &Incident) -> Option<AlertEvent> {
    let escalated = incident.phase == IncidentPhase::Escalated && !incident.repairs.is_empty();
    let needs_person = escalated || incident.deployment.is_none();
    needs_person.then(|| AlertEvent {
        key: format!("{INCIDENT}{}", incident.number),
        deployment: incident.deployment.clone(),
        severity: AlertSeverity::Page,
        state: EventState::Firing,
        summary: incident.reason.clone(),
        at: incident.detected_at,
    })
}

fn holding(
    rule: &AlertRule,
    deployment: Option<&DeploymentName>,
    subject: &str,
    summary: &str,
    since: Timestamp,
) -> HoldingCondition {
    HoldingCondition {
        key: AlertKey { rule: rule.name.clone(), deployment: deployment.cloned(), subject: subject.to_owned() },
        severity: rule.severity,
        summary: one_line(summary, SUMMARY_BYTES),
        since,
    }
}

/// Whether a counted value reaches a minimum.
#[expect(clippy::cast_precision_loss, reason = "a count needs no more than 15 digits")]
fn is_enough(value: f64, minimum: u64) -> bool {
    value >= minimum as f64
}

#[cfg(test)]
mod tests {
    use tidemill_core::alerts::{ServiceCounts, VITALS};
    use tidemill_core::health::{HealthStatus, SignalKind};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn names(found: &[HoldingCondition]) -> Vec<String> {
        found.iter().map(|it| format!("{} {}", it.key.rule, it.key.subject).trim_end().to_owned()).collect()
    }

    fn of(config: &str, health: &ObservedHealth<'_>) -> Vec<HoldingCondition> {
        let config = AlertConfig::parse_toml(config).unwrap();
        of_deployment(&config, &"shop".parse().unwrap(), health, NOW)
    }

    #[test]
    fn a_status_holds_since_it_began() {
        let since = Timestamp::from_millis(5);
        let reason = Some("no answer".to_owned());
        let state = HealthState { status: HealthStatus::Unhealthy, since: Some(since), reason, failures: 3 };
        let (objectives, history) = (ServiceLevel::default(), ServiceHistory::default());
        let health = ObservedHealth { state: &state, signals: &[], objectives: &objectives, history: &history };
        let found = of("", &health);
        assert_eq!(
            (names(&found), found[0].since, found[0].summary.as_str()),
            (vec!["unhealthy".to_owned()], since, "no answer")
        );
        assert_eq!(of("[rules.unhealthy]\ndeployments = [\"other\"]", &health), []);
    }

    #[test]
    fn a_signal_holds_from_its_minimum_of_events_on() {
        let (state, objectives) = (HealthState::default(), ServiceLevel::default());
        let history = ServiceHistory::default();
        let problem = Some("2 firings were late, missed or dropped".to_owned());
        let signals = [HealthSignal { kind: SignalKind::IrregularFirings, value: 2.0, limit: Some(1.0), problem }];
        let health = ObservedHealth { state: &state, signals: &signals, objectives: &objectives, history: &history };
        let rule = |minimum| format!("[rules.late]\nsignal = \"irregular-firings\"\nminimum_events = {minimum}");
        assert_eq!(names(&of(&rule(2), &health)), ["late"]);
        assert_eq!(of(&rule(3), &health), []);
        assert_eq!(of("[rules.slow]\nsignal = \"duration\"", &health), []);
    }

    #[test]
    fn each_objective_burns_under_its_own_key() {
        let state = HealthState::default();
        let latency = "95%".parse().ok().map(|target| (target, 2_000));
        let objectives = ServiceLevel { availability: "99%".parse().ok(), latency };
        let mut history = ServiceHistory::default();
        history.add(ServiceCounts { attempts: 100, failed: 90, slow: 100 }, NOW);
        let health = ObservedHealth { state: &state, signals: &[], objectives: &objectives, history: &history };
        let expected = ["fast-burn availability", "fast-burn latency", "slow-burn availability", "slow-burn latency"];
        assert_eq!(names(&of("", &health)), expected);
        assert_eq!(names(&of("[rules.fast-burn]\nminimum_events = 91", &health))[0], "fast-burn latency");
    }

    #[test]
    fn each_abnormal_vital_has_a_key_and_every_name_is_known() {
        let vital = |name, problem: bool| Vital {
            name,
            value: 1.0,
            limit: None,
            readings: 1,
            problem: problem.then(|| "full".to_owned()),
        };
        let vitals: Vec<_> = VITALS.iter().map(|name| vital(name, *name != "run-slots")).collect();
        let config = AlertConfig::parse_toml("[rules.disk]\nvital = \"free-disk\"").unwrap();
        let found = names(&of_host(&config, &vitals, NOW));
        assert_eq!((found.len(), &found[0]), (VITALS.len(), &"disk free-disk".to_owned()));
        assert!(!found.contains(&"vital run-slots".to_owned()), "{found:?}");
    }
}
