//! The loop of repairs: opens incidents, and does what is decided about each.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::healing::{
    FLAP_MILLIS, HealingDecision, Incident, IncidentPhase, IncidentSeverity, RepairResult, RepairStep, TimelineEntry,
    TimelineEvent, decide,
};
use tidemill_core::health::HealthStatus;
use tidemill_core::{DeploymentName, Timestamp, failpoint};
use tidemill_store::StoreError;
use tidemill_store::records::{IncidentUpdate, NewIncident};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::healing::assess::{cause_of, evidence_of, mode_of, situation_of};
use crate::healing::repair::{RepairPlan, settle};
use crate::healing::{earlier, host_incident};
use crate::health::DeploymentTrouble;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::{ControlPlane, HostState};

/// Maximum number of decisions about one incident in one tick.
const DECISIONS_MAX: usize = 6;
/// Maximum time between two ticks while an incident is open, in milliseconds.
const TICK_MAX_MILLIS: u64 = 1_000;

/// The loop that repairs.
pub(crate) struct HealingReconciler {
    host: ControlPlane,
}

impl HealingReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: ControlPlane(Arc::clone(host)) }
    }

    fn state(&self) -> &HostState {
        &self.host.0
    }

    /// Decides about one deployment until there is nothing to do at once. Returns when it must be
    /// looked at again, besides the next observation.
    async fn step(&self, name: &DeploymentName, now: Timestamp) -> Result<Option<Timestamp>, ControlError> {
        let host = self.state();
        for _ in 0..DECISIONS_MAX {
            let (Some(live), Some(trouble)) = (host.deployments.get(name), host.health.trouble_of(name)) else {
                host.healing.forget(name);
                return Ok(None);
            };
            let incident = match host.healing.open_incident(Some(name)) {
                Some(incident) => incident,
                None => match self.open(&live, &trouble, now).await? {
                    Some(incident) => incident,
                    None => return Ok(None),
                },
            };
            let situation = situation_of(host, &live, &trouble, &incident, now).await?;
            let decision = decide(&incident, &live.plan.healing, mode_of(host, &live), &situation, now);
            if let HealingDecision::Wait(until) = decision {
                return Ok(until);
            }
            let incident = Incident { cause: situation.cause, ..incident };
            self.carry_out(&live, incident, decision, &trouble, now).await?;
        }
        Ok(Some(now.plus_millis(TICK_MAX_MILLIS)))
    }

    /// Opens an incident about a deployment that is in trouble, or continues the last one if the
    /// trouble has returned.
    async fn open(
        &self,
        live: &ActiveDeployment,
        trouble: &DeploymentTrouble,
        now: Timestamp,
    ) -> Result<Option<Incident>, ControlError> {
        let (host, name) = (self.state(), &live.deployment.name);
        let severity = match trouble.status {
            HealthStatus::Unhealthy => IncidentSeverity::Critical,
            // One observation may be a coincidence.
            HealthStatus::Degraded if trouble.shown.is_some_and(|(at, _)| Some(at) > trouble.since) => {
                IncidentSeverity::Warning
            }
            _ => return Ok(None),
        };
        // The trouble is the host's, or a person has paused the deployment and knows of it.
        let is_open = ActiveDeployment::is_open(&live.deployment, &live.plan);
        if !is_open || host.healing.open_incident(None).is_some() {
            return Ok(None);
        }
        let last = host.healing.last_incident(Some(name));
        if let Some((last, ended_at)) = last.and_then(|last| Some((last.clone(), last.ended_at?))) {
            // The incident of this trouble has been closed.
            if last.phase == IncidentPhase::Closed && trouble.since.is_none_or(|since| since <= ended_at) {
                return Ok(None);
            }
            let returned = last.phase == IncidentPhase::Resolved
                && severity == IncidentSeverity::Critical
                && last.severity == IncidentSeverity::Critical
                && now.millis_since(ended_at) <= FLAP_MILLIS;
            if returned {
                return self.reopen(live, last, trouble, now).await.map(Some);
            }
        }
        let reason = trouble.reason.clone().unwrap_or_else(|| trouble.status.as_str().to_owned());
        let text = format!("the deployment is {}: {reason}", trouble.status.as_str());
        let evidence = evidence_of(live, trouble);
        let new = NewIncident {
            deployment: Some(name.clone()),
            severity,
            reason,
            revision: Some(live.deployment.revision),
            began_at: trouble.began_at.or(trouble.since).unwrap_or(now).min(now),
            cause: cause_of(live, trouble),
            entry: TimelineEntry { evidence, ..TimelineEntry::of_host(now, TimelineEvent::Detected, text) },
        };
        failpoint::hit("healing/open");
        let incident = host.store.open_incident(new).await?;
        failpoint::hit("healing/opened");
        host.metrics.healing.count_opening(&incident);
        tracing::warn!(
            deployment = %name, number = incident.number, severity = incident.severity.as_str(),
            reason = incident.reason, "opened an incident"
        );
        host.healing.keep(incident.clone(), &host.metrics);
        Ok(Some(incident))
    }

    /// Continues an incident whose trouble has returned, with the next step.
    async fn reopen(
        &self,
        live: &ActiveDeployment,
        last: Incident,
        trouble: &DeploymentTrouble,
        now: Timestamp,
    ) -> Result<Incident, ControlError> {
        let host = self.state();
        let reason = trouble.reason.clone().unwrap_or_else(|| last.reason.clone());
        let text = format!("the trouble has returned: {reason}");
        let entry = TimelineEntry {
            evidence: evidence_of(live, trouble),
            ..TimelineEntry::of_host(now, TimelineEvent::Returned, text)
        };
        let number = last.number;
        let incident = Incident {
            phase: IncidentPhase::Detected,
            reason,
            ended_at: None,
            returns: last.returns + 1,
            acknowledged: None,
            ..last
        };
        let incident = host.healing.update(&*host.store, &host.metrics, IncidentUpdate::new(incident, entry)).await?;
        tracing::warn!(deployment = %live.deployment.name, number, "the trouble of an incident has returned");
        Ok(incident)
    }

    /// Does what was decided.
    async fn carry_out(
        &self,
        live: &Arc<ActiveDeployment>,
        incident: Incident,
        decision: HealingDecision,
        trouble: &DeploymentTrouble,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let (host, name, number) = (self.state(), &live.deployment.name, incident.number);
        match decision {
            HealingDecision::Wait(_) => Ok(()),
            HealingDecision::Apply => self.host.apply_step(live, incident, now).await,
            HealingDecision::Repair { step, rung, reason } => {
                self.host.take_step(live, incident, RepairPlan { step, rung, reason }, trouble, now).await
            }
            HealingDecision::Resolve { reason } => {
                self.resolve(live, incident, reason, now).await?;
                tracing::info!(deployment = %name, number, "resolved an incident");
                Ok(())
            }
            HealingDecision::Worsen => {
                let reason = trouble.reason.clone().unwrap_or_else(|| incident.reason.clone());
                let text = format!("the deployment is unhealthy: {reason}");
                let evidence = evidence_of(live, trouble);
                let entry = TimelineEntry { evidence, ..TimelineEntry::of_host(now, TimelineEvent::Worsened, text) };
                let severity = IncidentSeverity::Critical;
                self.update(Incident { severity, reason, ..incident }, entry).await
            }
            HealingDecision::Escalate { reason } => {
                tracing::warn!(deployment = %name, number, reason, "an incident needs a person");
                let entry = TimelineEntry::of_host(now, TimelineEvent::Escalated, reason);
                self.update(Incident { phase: IncidentPhase::Escalated, ..incident }, entry).await
            }
            HealingDecision::Advise { step, reason } => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = format!("the host would take the step {step}{because}");
                tracing::warn!(deployment = %name, number, step = %step, "advised a step of a repair");
                host.metrics.healing.count_repair(step.kind(), "advised");
                let evidence = evidence_of(live, trouble);
                let entry = TimelineEntry { evidence, ..TimelineEntry::of_host(now, TimelineEvent::Advised, text) };
                self.update(Incident { phase: IncidentPhase::Escalated, ..incident }, entry).await
            }
            HealingDecision::Fail { reason } => self.fail(live, incident, reason, now).await,
        }
    }

    async fn update(&self, incident: Incident, entry: TimelineEntry) -> Result<(), ControlError> {
        let host = self.state();
        host.healing.update(&*host.store, &host.metrics, IncidentUpdate::new(incident, entry)).await?;
        Ok(())
    }

    /// Ends an incident. If a standby takes the new runs, they go to the deployment again.
    async fn resolve(
        &self,
        live: &ActiveDeployment,
        mut incident: Incident,
        reason: String,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let helped = incident.pending().map(|repair| repair.step.clone());
        settle(&mut incident, RepairResult::Effective);
        let text = match &helped {
            Some(step) => format!("{reason} after the step {step}"),
            None => reason,
        };
        if let Some(step) = &helped {
            self.state().metrics.healing.count_repair(step.kind(), "effective");
        }
        (incident.phase, incident.ended_at) = (IncidentPhase::Resolved, Some(now));
        let entry = TimelineEntry::of_host(now, TimelineEvent::Resolved, text);
        let standby = incident
            .repairs
            .iter()
            .position(|repair| repair.step == RepairStep::Standby && repair.result == RepairResult::Effective);
        let name = &live.deployment.name;
        match standby.filter(|_| self.state().healing.route_of(name).is_some()) {
            None => self.update(incident, entry).await,
            Some(place) => {
                let repair = incident.repairs[place].clone();
                incident.repairs[place].result = RepairResult::Undone;
                let entry = TimelineEntry { change: Some(format!("new runs → {name}")), ..entry };
                let update = IncidentUpdate { undone: Some(repair.entry), ..IncidentUpdate::new(incident, entry) };
                self.host.undo_step(name, &repair, update).await
            }
        }
    }

    /// Records that a step did not help, and undoes it if it can be undone.
    async fn fail(
        &self,
        live: &ActiveDeployment,
        mut incident: Incident,
        reason: String,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let (host, name) = (self.state(), &live.deployment.name);
        let Some(repair) = incident.pending().cloned() else { return Ok(()) };
        host.metrics.healing.count_repair(repair.step.kind(), "ineffective");
        incident.phase = IncidentPhase::Assessing;
        let text = format!("the step {} did not help: {reason}", repair.step);
        let failed = TimelineEntry::of_host(now, TimelineEvent::Failed, text);
        let before = repair.revisions.filter(|_| repair.step == RepairStep::Rollback).map(|(before, _)| before);
        let Some(before) = before else {
            settle(&mut incident, RepairResult::Ineffective);
            return self.update(incident, failed).await;
        };
        let mut undone = incident.clone();
        settle(&mut undone, RepairResult::Undone);
        let (present, next) = (live.deployment.revision, live.deployment.revision.get() + 1);
        let change = Some(format!("revision {present} → {next}, which is as {before}"));
        let text = format!("the deployment returns to revision {before}");
        let entry = TimelineEntry { change, ..TimelineEntry::of_host(now, TimelineEvent::Undone, text) };
        let entries = vec![failed.clone(), entry];
        let update = IncidentUpdate { incident: undone, entries, undone: Some(repair.entry), now };
        match self.host.undo_step(name, &repair, update).await {
            Ok(()) => Ok(()),
            Err(ControlError::Store(error)) if !matches!(error, StoreError::RevisionChanged { .. }) => {
                Err(error.into())
            }
            // A person has deployed another revision, or the one before cannot be deployed today.
            Err(error) => {
                settle(&mut incident, RepairResult::Ineffective);
                let text = format!("{}; it was not undone: {error}", failed.text);
                self.update(incident, TimelineEntry::of_host(now, TimelineEvent::Failed, text)).await
            }
        }
    }
}

#[async_trait]
impl Reconciler for HealingReconciler {
    fn name(&self) -> &'static str {
        "healing"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let host = self.state();
        let _turn = host.healing.turn().await;
        let mut next = host_incident::step(host, now).await?;
        let mut names: BTreeSet<_> = host.health.troubled().into_iter().collect();
        names.extend(host.healing.with_open_incidents());
        let (found, mut failed) = (names.len(), 0);
        for name in &names {
            match self.step(name, now).await {
                Ok(until) => next = earlier(next, until),
                // Another change was faster. The next tick decides again.
                Err(ControlError::Store(StoreError::IncidentChanged { .. } | StoreError::RevisionChanged { .. })) => {
                    next = earlier(next, Some(now.plus_millis(1)));
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(deployment = %name, %error, "could not continue the incident of a deployment");
                }
            }
        }
        if host.healing.open_count() > 0 {
            next = earlier(next, Some(now.plus_millis(TICK_MAX_MILLIS)));
        }
        let next = next.map_or(NextTick::OnWake, NextTick::At);
        Ok(TickReport { found, done: found - failed, failed, next })
    }

    async fn woken(&self) {
        self.state().healing.woken().await;
    }
}
