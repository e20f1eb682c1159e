//! Takes steps of the ladder, undoes them, and applies in memory what is committed.

use bytes::Bytes;
use serde_json::json;
use tidemill_core::healing::{
    HealingPolicy, Incident, IncidentPhase, NOTE_BYTES, RepairRecord, RepairResult, RepairStep, TimelineEntry,
    TimelineEvent,
};
use tidemill_core::run::{Export, Trigger};
use tidemill_core::{Code, DeploymentName, InputProblem, Revision, Timestamp, failpoint};
use tidemill_store::StoreError;
use tidemill_store::records::{IncidentUpdate, Pause, RunRequestResult, StandbyRoute};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::recycle::recycle;
use crate::error::ControlError;
use crate::healing::assess::{describe, evidence_of};
use crate::health::DeploymentTrouble;
use crate::state::{ControlPlane, HostState};

/// Maximum number of standbys that lead from one to the next when a manifest is checked.
const CHAIN_MAX: usize = 16;

/// Returns the problems of what `[healing]` names: a circle of standbys, and runbooks that cannot
/// run.
pub(crate) fn named_problems(host: &HostState, name: &DeploymentName, policy: &HealingPolicy) -> Vec<InputProblem> {
    let mut problems = Vec::new();
    let standby_of = |name: &DeploymentName| host.deployments.get(name)?.plan.healing.standby.clone();
    let mut chain = vec![name.clone()];
    let mut next = policy.standby.clone();
    while let Some(standby) = next.take().filter(|_| chain.len() < CHAIN_MAX) {
        if chain.contains(&standby) {
            if chain.len() > 1 {
                let path = chain.iter().map(DeploymentName::as_str).collect::<Vec<_>>().join(" → ");
                let message = format!("the standbys form a circle: {path} → {standby}");
                let fix = "Name a deployment that has no standby itself.";
                problems.push(InputProblem::field("/healing/standby", message, fix));
            }
            break;
        }
        next = standby_of(&standby);
        chain.push(standby);
    }
    for (place, step) in policy.ladder.iter().enumerate() {
        let RepairStep::Runbook(runbook) = step else { continue };
        if let Some(message) = runbook_problem(host, runbook) {
            let fix = "Deploy a module with a workflow under this name first.";
            problems.push(InputProblem::field(format!("/healing/ladder/{place}"), message, fix));
        }
    }
    problems
}

fn runbook_problem(host: &HostState, runbook: &DeploymentName) -> Option<String> {
    let Some(live) = host.deployments.get(runbook) else {
        return Some(format!("there is no deployment `{runbook}` that could be the runbook"));
    };
    let has_workflow = live.plan.exports.contains(&Export::Workflow);
    (!has_workflow).then(|| format!("`{runbook}` exports no workflow, so it cannot be a runbook"))
}

/// A step that is about to be taken.
pub(super) struct RepairPlan {
    pub(super) step: RepairStep,
    pub(super) rung: u32,
    /// Why this step, and which ones were skipped.
    pub(super) reason: String,
}

impl ControlPlane {
    /// Takes a step: commits it, with what it changes. Its effect in memory follows when it is
    /// applied. A step that cannot be taken counts as one that did not help.
    ///
    /// # Errors
    /// Errors of the store. Nothing was changed then.
    pub(super) async fn take_step(
        &self,
        live: &ActiveDeployment,
        incident: Incident,
        plan: RepairPlan,
        trouble: &DeploymentTrouble,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let name = &live.deployment.name;
        let RepairPlan { step, rung, reason } = plan;
        let evidence = evidence_of(live, trouble);
        let cause = format!("the cause is {}", incident.cause.as_str());
        let parts = [Some(cause), describe(&evidence.runs), (!reason.is_empty()).then_some(reason)];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let assessed = TimelineEntry { evidence, ..TimelineEntry::of_host(now, TimelineEvent::Assessed, text) };
        let present = live.deployment.revision;
        let healthy = trouble.healthy.and_then(|healthy| healthy.before(present));
        let (text, change) = words_of(&step, live, healthy);
        let repaired =
            TimelineEntry { change: change.clone(), ..TimelineEntry::of_host(now, TimelineEvent::Repaired, text) };
        let record = RepairRecord {
            step: step.clone(),
            rung,
            at: now,
            result: RepairResult::Pending,
            entry: incident.entries + 2,
            revisions: None,
            run: None,
        };
        let mut next = incident.clone();
        (next.phase, next.rung) = (IncidentPhase::Recovering, rung + 1);
        next.repairs.push(record);
        let mut update = IncidentUpdate { incident: next, entries: vec![assessed, repaired], undone: None, now };
        failpoint::hit("healing/decided");
        let taken = match &step {
            RepairStep::Retry | RepairStep::Recycle => self.commit_update(update).await,
            RepairStep::Rollback => match healthy {
                None => Err(ControlError::refused(Code::RevisionNotFound, "no earlier revision was healthy")),
                Some(healthy) => {
                    if let Some(record) = update.incident.repairs.last_mut() {
                        record.revisions = Some((present, Revision::new(present.get() + 1)));
                    }
                    self.return_to(name, present, healthy, update).await
                }
            },
            RepairStep::Standby => {
                let to = live.plan.healing.standby.clone();
                let route = to.map(|to| StandbyRoute { to, incident: incident.number, since: now });
                self.commit_route(name, update, route).await
            }
            RepairStep::Quarantine => {
                let mut note = format!("quarantined by incident {}: {}", incident.number, incident.reason);
                note.truncate(note.floor_char_boundary(NOTE_BYTES));
                self.commit_pause(name, Some(Pause { since: now, note }), update).await
            }
            RepairStep::Runbook(runbook) => self.start_runbook(runbook, update).await,
        };
        match taken {
            Ok(()) => {
                failpoint::hit("healing/taken");
                self.0.metrics.healing.count_repair(step.kind(), "taken");
                let change = change.unwrap_or_default();
                tracing::warn!(
                    deployment = %name, number = incident.number, step = %step, change, "took a step to repair a deployment"
                );
                Ok(())
            }
            // What the decision was based on has changed, or nothing can be committed now.
            Err(error) if is_outdated(&error) => Ok(()),
            Err(ControlError::Store(error)) if !matches!(error, StoreError::NotFound { .. }) => Err(error.into()),
            Err(error) => self.record_obstacle(incident, step, rung, &error, now).await,
        }
    }

    /// Records that a step could not be taken.
    async fn record_obstacle(
        &self,
        incident: Incident,
        step: RepairStep,
        rung: u32,
        error: &ControlError,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        self.0.metrics.healing.count_repair(step.kind(), "impossible");
        let text = format!("{step} is not possible: {error}");
        let entry = TimelineEntry::of_host(now, TimelineEvent::Failed, text);
        let incident = Incident { rung: rung + 1, phase: IncidentPhase::Assessing, ..incident };
        self.commit_update(IncidentUpdate::new(incident, entry)).await
    }

    async fn commit_update(&self, update: IncidentUpdate) -> Result<(), ControlError> {
        let host = &self.0;
        host.healing.update(&*host.store, &host.metrics, update).await?;
        Ok(())
    }

    /// Returns a deployment to an earlier revision, by a new one.
    async fn return_to(
        &self,
        name: &DeploymentName,
        present: Revision,
        to: Revision,
        update: IncidentUpdate,
    ) -> Result<(), ControlError> {
        let scope = update.incident.deployment.clone();
        let done = self.rollback_now(name.clone(), Some(to), Some(Some(present)), false, Some(update)).await?;
        if done.deployment.revision == present {
            let detail = format!("revision {to} is the same as the present one");
            return Err(ControlError::refused(Code::AlreadyExists, detail));
        }
        self.0.healing.reload(&*self.0.store, scope).await?;
        Ok(())
    }

    async fn commit_route(
        &self,
        name: &DeploymentName,
        update: IncidentUpdate,
        route: Option<StandbyRoute>,
    ) -> Result<(), ControlError> {
        let host = &self.0;
        let incident = host.store.route_runs(update, route.clone()).await?;
        host.healing.keep(incident, &host.metrics);
        host.healing.set_route(name, route);
        Ok(())
    }

    async fn commit_pause(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        update: IncidentUpdate,
    ) -> Result<(), ControlError> {
        let (now, scope) = (update.now, update.incident.deployment.clone());
        self.set_pause(name, pause, Some(update), now).await?;
        self.0.healing.reload(&*self.0.store, scope).await?;
        Ok(())
    }

    async fn start_runbook(&self, runbook: &DeploymentName, mut update: IncidentUpdate) -> Result<(), ControlError> {
        let host = &self.0;
        let live = host.deployments.require(runbook)?;
        if let Some(problem) = runbook_problem(host, runbook) {
            return Err(ControlError::refused(Code::UnknownExport, problem));
        }
        let now = update.now;
        let input = Bytes::from(input_of(&update.incident).to_string());
        let id = crate::random::run_id(now);
        let trigger = Trigger::default();
        let mut new = live.new_run(id, Export::Workflow, trigger, input, now);
        new.key = Some(format!("incident-{}-{}", update.incident.number, update.incident.repairs.len()));
        new.terms = live.own_terms(&new.input, host.config.queue_max);
        if let Some(record) = update.incident.repairs.last_mut() {
            record.run = Some(id);
        }
        let (incident, requested) = host.store.start_runbook(update, new).await?;
        host.healing.keep(incident, &host.metrics);
        if let RunRequestResult::Created(_) = requested {
            host.admission.note_queued(&live, now);
        }
        Ok(())
    }

    /// Applies in memory what a step did, and begins to verify it. After a crash, it is applied
    /// again.
    ///
    /// # Errors
    /// Errors of the store.
    pub(super) async fn apply_step(
        &self,
        live: &std::sync::Arc<ActiveDeployment>,
        incident: Incident,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let host = &self.0;
        let Some(step) = incident.pending().map(|repair| repair.step.clone()) else { return Ok(()) };
        match &step {
            RepairStep::Recycle => {
                recycle(host, live);
            }
            // Their commits have changed the state in memory, or the start has read it.
            RepairStep::Retry | RepairStep::Rollback | RepairStep::Standby | RepairStep::Quarantine => {}
            RepairStep::Runbook(_) => {}
        }
        // The breaker opened before the step. What runs do from here on shows whether it helped.
        if matches!(step, RepairStep::Retry | RepairStep::Recycle) {
            live.limiter.breaker.try_now(host.clock.now());
        }
        failpoint::hit("healing/applied");
        let update = match step {
            RepairStep::Quarantine => {
                let mut next = Incident { phase: IncidentPhase::Escalated, ..incident };
                settle(&mut next, RepairResult::Effective);
                let text = "a person must find the cause, then resume the deployment or undo the quarantine";
                IncidentUpdate::new(next, TimelineEntry::of_host(now, TimelineEvent::Escalated, text))
            }
            RepairStep::Standby => {
                let mut next = Incident { phase: IncidentPhase::Escalated, ..incident };
                settle(&mut next, RepairResult::Effective);
                let text = "the standby deployment takes new runs; a person must repair this one";
                IncidentUpdate::new(next, TimelineEntry::of_host(now, TimelineEvent::Escalated, text))
            }
            _ => {
                let next = Incident { phase: IncidentPhase::Verifying, ..incident };
                IncidentUpdate { incident: next, entries: Vec::new(), undone: None, now }
            }
        };
        self.commit_update(update).await?;
        host.health.observe_soon(&live.deployment.name);
        Ok(())
    }

    /// Undoes the effect of a repair if it has one that lasts, together with a change of the
    /// incident.
    ///
    /// # Errors
    /// Errors of the store; every reason why the revision before cannot be deployed today.
    pub(super) async fn undo_step(
        &self,
        name: &DeploymentName,
        repair: &RepairRecord,
        update: IncidentUpdate,
    ) -> Result<(), ControlError> {
        match (&repair.step, repair.revisions) {
            (RepairStep::Rollback, Some((before, after))) => self.return_to(name, after, before, update).await,
            (RepairStep::Standby, _) => self.commit_route(name, update, None).await,
            (RepairStep::Quarantine, _) => self.commit_pause(name, None, update).await,
            _ => self.commit_update(update).await,
        }
    }
}

/// Sets the result of the pending repair.
pub(super) fn settle(incident: &mut Incident, result: RepairResult) {
    if let Some(repair) = incident.repairs.last_mut().filter(|repair| repair.result == RepairResult::Pending) {
        repair.result = result;
    }
}

/// Whether a step was refused because the deployment or the incident has changed.
fn is_outdated(error: &ControlError) -> bool {
    matches!(error, ControlError::Store(StoreError::RevisionChanged { .. } | StoreError::IncidentChanged { .. }))
}

/// Describes a step, and what it changes.
fn words_of(step: &RepairStep, live: &ActiveDeployment, healthy: Option<Revision>) -> (String, Option<String>) {
    let present = live.deployment.revision;
    match step {
        RepairStep::Retry => ("a few runs try again, without waiting for the circuit breaker".to_owned(), None),
        RepairStep::Recycle => ("suspended runs leave memory, and the compiled code is dropped".to_owned(), None),
        RepairStep::Rollback => {
            let to = healthy.unwrap_or_default();
            let next = present.get() + 1;
            (
                format!("the deployment returns to revision {to}, the last one that was healthy"),
                Some(format!("revision {present} → {next}, which is as {to}")),
            )
        }
        RepairStep::Standby => {
            let to = live.plan.healing.standby.as_ref().map_or("", DeploymentName::as_str);
            (format!("`{to}` takes the new runs that callers request"), Some(format!("new runs → {to}")))
        }
        RepairStep::Quarantine => ("the deployment is paused".to_owned(), Some("active → paused".to_owned())),
        RepairStep::Runbook(name) => (format!("runbook `{name}` was started"), None),
    }
}

/// Returns what a runbook receives.
fn input_of(incident: &Incident) -> serde_json::Value {
    let repairs: Vec<_> = incident
        .repairs
        .iter()
        .map(|repair| {
            json!({
                "step": repair.step.to_string(),
                "at": repair.at.to_rfc3339(),
                "result": repair.result.as_str(),
            })
        })
        .collect();
    let mut input = json!({
        "incident": incident.number,
        "severity": incident.severity.as_str(),
        "reason": incident.reason,
        "cause": incident.cause.as_str(),
        "began_at": incident.began_at.to_rfc3339(),
        "detected_at": incident.detected_at.to_rfc3339(),
        "repairs": repairs,
    });
    if let Some(name) = &incident.deployment {
        input["deployment"] = name.as_str().into();
    }
    if let Some(revision) = incident.revision {
        input["revision"] = revision.get().into();
    }
    input
}
