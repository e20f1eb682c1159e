//! All conditions that hold, all open alerts and all silences of a host, and what is due for them.
//!
//! The book holds what a restart loses (conditions) and copies of what the store keeps (alerts and
//! silences). It changes nothing by itself: the caller commits what [`AlertBook::plan`] returns,
//! and then tells the book what was stored. The order does not matter, because each step is checked
//! again in its commit.
//!
//! *Worked example.* A deployment fails 10,000 times in a minute. Its observations find the same
//! condition four times, under one key. The first one plans a `Fire`, which is committed with one
//! notification for each channel. The others change a summary in memory. When an observation does
//! not find the condition any more, its quiet time begins; when that is over, a `Resolve` is
//! planned, with the second and last notification for each channel.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{Alert, AlertStep};
use super::condition::{ConditionPhase, ConditionRecord, HoldingCondition};
use super::config::AlertConfig;
use super::rule::AlertCondition;
use super::silence::Silence;
use super::{AlertEvent, AlertKey, CONDITIONS_MAX, EventState, SUBJECT_BYTES, SUMMARY_BYTES, one_line};
use crate::ids::{AlertId, DeploymentName, Timestamp};

/// What one observation was about. Conditions of the scope that it does not find do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedScope<'a> {
    /// The vitals of the host.
    Host,
    /// A deployment, except for what another part of the host reports about it.
    Deployment(&'a DeploymentName),
}

/// A change that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertChange {
    /// An alert begins to fire.
    Fire {
        /// What is wrong.
        holding: HoldingCondition,
        /// The labels of its rule.
        labels: Vec<(String, String)>,
        /// Its announcement; `None` if it is silenced, or if no channel is configured.
        announcement: Option<AlertStep>,
    },
    /// An open alert takes a step.
    Step {
        /// The alert.
        id: AlertId,
        /// The step.
        step: AlertStep,
    },
}

/// What is due, and when to look again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertPlan {
    /// The changes, at most as many as were requested.
    pub changes: Vec<AlertChange>,
    /// When something is due next; `None` if nothing is planned. Now, if there are more changes.
    pub next: Option<Timestamp>,
}

/// The conditions, alerts and silences of a host.
#[derive(Debug, Default)]
pub struct AlertBook {
    conditions: BTreeMap<AlertKey, ConditionRecord>,
    alerts: BTreeMap<AlertKey, Alert>,
    silences: Vec<Silence>,
    /// Number of conditions that were left out because there were too many.
    left_out: u64,
}

impl AlertBook {
    /// Returns the book of a host that starts, with what the store keeps.
    #[must_use]
    pub fn new(alerts: Vec<Alert>, silences: Vec<Silence>) -> Self {
        let alerts = alerts.into_iter().map(|alert| (alert.key.clone(), alert)).collect();
        Self { alerts, silences, ..Self::default() }
    }

    /// Takes an observation into account. `holding` are all conditions of the scope that hold.
    /// Returns whether anything changed that may make a step due.
    pub fn observe(
        &mut self,
        scope: ObservedScope<'_>,
        holding: Vec<HoldingCondition>,
        config: &AlertConfig,
        now: Timestamp,
    ) -> bool {
        let found: BTreeSet<_> = holding.iter().map(|holding| holding.key.clone()).collect();
        let mut changed = false;
        for key in self.keys_of(scope, config) {
            changed |= !found.contains(&key) && self.end(&key, now);
        }
        for holding in holding {
            changed |= self.hold(holding);
        }
        changed
    }

    /// Returns the known keys that an observation of a scope decides about.
    fn keys_of(&self, scope: ObservedScope<'_>, config: &AlertConfig) -> Vec<AlertKey> {
        let is_observed = |key: &AlertKey| {
            let is_reported = config.rules.get(&key.rule).is_some_and(|it| it.condition == AlertCondition::Incident);
            !is_reported
                && match scope {
                    ObservedScope::Host => key.deployment.is_none(),
                    ObservedScope::Deployment(name) => key.deployment.as_ref() == Some(name),
                }
        };
        let mut keys: BTreeSet<_> = self.conditions.keys().filter(|key| is_observed(key)).cloned().collect();
        keys.extend(self.alerts.keys().filter(|key| is_observed(key)).cloned());
        keys.into_iter().collect()
    }

    /// Takes trouble that another part of the host reports into account. Returns whether anything
    /// changed.
    pub fn report(&mut self, event: &AlertEvent, config: &AlertConfig) -> bool {
        let AlertEvent { key, deployment, severity, state, summary, at } = event;
        let mut changed = false;
        let rules: Vec<_> = config
            .enabled_rules()
            .filter(|rule| rule.condition == AlertCondition::Incident)
            .filter(|rule| deployment.as_ref().is_none_or(|name| rule.applies_to(name)))
            .map(|rule| (rule.name.clone(), rule.severity))
            .collect();
        for (rule, most) in rules {
            let key = AlertKey { rule, deployment: deployment.clone(), subject: one_line(key, SUBJECT_BYTES) };
            let severity = (*severity).min(most);
            changed |= match state {
                EventState::Firing => {
                    let summary = one_line(summary, SUMMARY_BYTES);
                    self.hold(HoldingCondition { key, severity, summary, since: *at })
                }
                EventState::Resolved => self.end(&key, *at),
            };
        }
        changed
    }

    /// Takes into account everything that a source reports now: what has a key that begins
    /// with `source` and is not in `events` is over. Returns whether anything changed.
    pub fn report_all(&mut self, source: &str, events: &[AlertEvent], config: &AlertConfig, now: Timestamp) -> bool {
        let reported: BTreeSet<_> = events.iter().map(|event| one_line(&event.key, SUBJECT_BYTES)).collect();
        let is_gone = |key: &AlertKey| {
            config.rules.get(&key.rule).is_some_and(|rule| rule.condition == AlertCondition::Incident)
                && key.subject.starts_with(source)
                && !reported.contains(&key.subject)
        };
        let mut gone: BTreeSet<_> = self.alerts.keys().filter(|key| is_gone(key)).cloned().collect();
        gone.extend(self.conditions.keys().filter(|key| is_gone(key)).cloned());
        let mut changed = false;
        for key in &gone {
            changed |= self.end(key, now);
        }
        for event in events {
            changed |= self.report(event, config);
        }
        changed
    }

    fn hold(&mut self, holding: HoldingCondition) -> bool {
        let alert = self.alerts.get(&holding.key);
        let is_full = self.conditions.len() >= CONDITIONS_MAX;
        match self.conditions.get_mut(&holding.key) {
            Some(known) => {
                let before = (known.severity, known.absent_since);
                known.hold(holding);
                before != (known.severity, known.absent_since)
            }
            None if alert.is_none() && is_full => {
                self.left_out = self.left_out.saturating_add(1);
                false
            }
            None => {
                // A condition of an alert that was open before a restart is no new one.
                let since = alert.map_or(holding.since, |alert| alert.began_at);
                self.conditions
                    .insert(holding.key.clone(), ConditionRecord::new(HoldingCondition { since, ..holding }));
                true
            }
        }
    }

    fn end(&mut self, key: &AlertKey, now: Timestamp) -> bool {
        if let Some(known) = self.conditions.get_mut(key) {
            let holds = known.absent_since.is_none();
            known.end(now);
            return holds;
        }
        let Some(alert) = self.alerts.get(key) else { return false };
        let (severity, summary, since) = (alert.severity, alert.summary.clone(), alert.began_at);
        let ended = ConditionRecord { severity, summary, since, absent_since: Some(now) };
        self.conditions.insert(key.clone(), ended);
        true
    }

    /// Ends at once what is about deployments that do not exist, or about rules that do not apply
    /// any more.
    pub fn prune(&mut self, exists: impl Fn(&DeploymentName) -> bool, config: &AlertConfig) {
        let is_gone = |key: &AlertKey| {
            config.rule(key).is_none() || key.deployment.as_ref().is_some_and(|deployment| !exists(deployment))
        };
        let mut gone: BTreeSet<_> = self.conditions.keys().filter(|key| is_gone(key)).cloned().collect();
        gone.extend(self.alerts.keys().filter(|key| is_gone(key)).cloned());
        for key in gone {
            self.end(&key, Timestamp::default());
            if let Some(known) = self.conditions.get_mut(&key) {
                known.absent_since = Some(Timestamp::default());
            }
        }
    }

    /// Returns at most `most` changes that are due `now`, and forgets conditions that raised
    /// nothing.
    pub fn plan(&mut self, config: &AlertConfig, now: Timestamp, most: usize) -> AlertPlan {
        self.silences.retain(|silence| now < silence.ends_at);
        let mut plan = AlertPlan::default();
        let mut over = Vec::new();
        for (key, condition) in &self.conditions {
            let alert = self.alerts.get(key);
            let rule = config.rule(key);
            let (duration, quiet) = rule.map_or((0, 0), |rule| (rule.duration_millis, rule.quiet_millis));
            match condition.phase(alert.is_some(), duration, quiet, now) {
                ConditionPhase::Pending { until } | ConditionPhase::Ending { until } => plan.look_at(until),
                ConditionPhase::Over => match alert {
                    Some(alert) => plan.step(alert, AlertStep::Resolve { at: now }),
                    None => over.push(key.clone()),
                },
                ConditionPhase::Firing if alert.is_none() => {
                    let holding = HoldingCondition {
                        key: key.clone(),
                        severity: condition.severity,
                        summary: condition.summary.clone(),
                        since: condition.since,
                    };
                    let silenced = self.is_silenced(key, condition.severity, now);
                    let labels = rule.map(|rule| rule.labels.clone()).unwrap_or_default();
                    plan.changes.push(fire(holding, labels, silenced, config, now));
                }
                ConditionPhase::Firing => {}
            }
            if plan.changes.len() >= most {
                plan.look_at(now);
                break;
            }
        }
        for key in &over {
            self.conditions.remove(key);
        }
        for alert in self.alerts.values() {
            if plan.changes.len() >= most {
                plan.look_at(now);
                break;
            }
            self.plan_notice(alert, config, now, &mut plan);
        }
        plan
    }

    /// Plans what notifies people of an open alert.
    fn plan_notice(&self, alert: &Alert, config: &AlertConfig, now: Timestamp, plan: &mut AlertPlan) {
        if let Some(condition) = self.conditions.get(&alert.key) {
            if condition.absent_since.is_none() && condition.severity > alert.severity {
                let summary = condition.summary.clone();
                plan.step(alert, AlertStep::Raise { severity: condition.severity, summary });
                return;
            }
            // Nothing is announced while it ends.
            if condition.absent_since.is_some() {
                return;
            }
        }
        let end = self.silence_of(&alert.key, alert.severity, now).map(|silence| silence.ends_at);
        match alert.due(config, end.is_some(), now) {
            Some(step) => plan.step(alert, step),
            None => end.or_else(|| alert.next_due(config)).into_iter().for_each(|at| plan.look_at(at)),
        }
    }

    /// Returns the silence of an alert that ends last.
    fn silence_of(&self, key: &AlertKey, severity: super::AlertSeverity, now: Timestamp) -> Option<&Silence> {
        let silences = self.silences.iter().filter(|silence| silence.silences(key, severity, now));
        silences.max_by_key(|silence| silence.ends_at)
    }

    /// Whether an alert is silenced.
    #[must_use]
    pub fn is_silenced(&self, key: &AlertKey, severity: super::AlertSeverity, now: Timestamp) -> bool {
        self.silence_of(key, severity, now).is_some()
    }

    /// Takes into account an alert that was stored.
    pub fn adopt(&mut self, alert: Alert) {
        if alert.is_open() {
            self.alerts.insert(alert.key.clone(), alert);
            return;
        }
        if self.alerts.get(&alert.key).is_some_and(|known| known.id == alert.id) {
            self.alerts.remove(&alert.key);
        }
        // If the condition holds again in the meantime, another alert begins.
        if self.conditions.get(&alert.key).is_some_and(|known| known.absent_since.is_some()) {
            self.conditions.remove(&alert.key);
        }
    }

    /// Takes into account an alert that was stored, unless it is over in the meantime.
    pub fn refresh(&mut self, alert: Alert) {
        if self.alerts.get(&alert.key).is_some_and(|known| known.id == alert.id) {
            self.adopt(alert);
        }
    }

    /// Takes into account a silence that was stored.
    pub fn add_silence(&mut self, silence: Silence) {
        self.silences.push(silence);
    }

    /// Takes into account that a silence was removed.
    pub fn remove_silence(&mut self, id: crate::ids::SilenceId) {
        self.silences.retain(|silence| silence.id != id);
    }

    /// Returns the open alerts, by key.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Returns the conditions that hold and have no alert yet, by key.
    pub fn pending(&self) -> impl Iterator<Item = (&AlertKey, &ConditionRecord)> {
        let is_pending = |(key, condition): &(&AlertKey, &ConditionRecord)| {
            condition.absent_since.is_none() && !self.alerts.contains_key(*key)
        };
        self.conditions.iter().filter(is_pending)
    }

    /// Returns and resets the number of conditions that were left out because there were too many.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// Returns the change by which an alert begins.
fn fire(
    holding: HoldingCondition,
    labels: Vec<(String, String)>,
    silenced: bool,
    config: &AlertConfig,
    now: Timestamp,
) -> AlertChange {
    let id = AlertId::new(now, 0);
    let HoldingCondition { key, severity, summary, since } = &holding;
    let alert = Alert::new(id, key.clone(), *severity, Vec::new(), summary, *since, now);
    let announcement = alert.due(config, silenced, now);
    AlertChange::Fire { holding, labels, announcement }
}

impl AlertPlan {
    fn step(&mut self, alert: &Alert, step: AlertStep) {
        self.changes.push(AlertChange::Step { id: alert.id, step });
    }

    fn look_at(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}
