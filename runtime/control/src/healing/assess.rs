//! What the host knows about a deployment with an incident, as evidence and for the decision.

use tidemill_core::breaker::{BreakerMode, BreakerPhase};
use tidemill_core::healing::{Evidence, FailureCause, HealingMode, HealingSituation, Incident, NOTE_BYTES};
use tidemill_core::health::HealthStatus;
use tidemill_core::{RunId, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::BreakerDecision;

use crate::deployment::active::ActiveDeployment;
use crate::health::DeploymentTrouble;
use crate::state::HostState;

/// Maximum number of lines of a check that become evidence.
const LINES_MAX: usize = 8;

/// Returns the mode that counts for a deployment: the more cautious one of its own and the host's.
pub(super) fn mode_of(host: &HostState, live: &ActiveDeployment) -> HealingMode {
    live.plan.healing.mode.min(host.config.healing)
}

/// Returns what the failures of a deployment have in common.
pub(super) fn cause_of(live: &ActiveDeployment, trouble: &DeploymentTrouble) -> FailureCause {
    let failed = live.metrics.health.last_failures();
    FailureCause::of_codes(failed.iter().map(|(_, code)| code.as_str()).chain(trouble.check_code.as_deref()))
}

/// Returns what shows that something is wrong.
pub(super) fn evidence_of(live: &ActiveDeployment, trouble: &DeploymentTrouble) -> Evidence {
    let bounded = |line: &String| line[..line.floor_char_boundary(NOTE_BYTES)].to_owned();
    Evidence {
        figures: trouble.figures.clone(),
        runs: live.metrics.health.last_failures(),
        lines: trouble.lines.iter().take(LINES_MAX).map(bounded).collect(),
    }
}

/// Returns the situation of a deployment with an open incident.
///
/// # Errors
/// Errors of the store.
pub(super) async fn situation_of(
    host: &HostState,
    live: &ActiveDeployment,
    trouble: &DeploymentTrouble,
    incident: &Incident,
    now: Timestamp,
) -> Result<HealingSituation, StoreError> {
    let revision = live.deployment.revision;
    let breaker = live.limiter.breaker.report(now);
    let breaker_opened = (breaker.phase == BreakerPhase::Open).then_some(breaker.since);
    let standby_ready = live.plan.healing.standby.as_ref().map(|name| {
        let standby = host.deployments.get(name);
        let works = |name| host.health.status_of(name) != HealthStatus::Unhealthy;
        standby.is_some_and(|it| {
            ActiveDeployment::is_open(&it.deployment, &it.plan)
                && works(name)
                && it.limiter.breaker.check(now).is_ok()
                && host.healing.route_of(name).is_none()
        })
    });
    let runbook_ended = match incident.pending().and_then(|repair| repair.run) {
        Some(run) => host.store.run(run).await?.is_none_or(|run| run.state.is_settled()),
        None => false,
    };
    Ok(HealingSituation {
        status: trouble.status,
        status_since: trouble.since,
        observed_at: trouble.shown.map(|(at, _)| at),
        failing: trouble.shown.is_some_and(|(_, failed)| failed),
        every_millis: live.plan.health.every_millis,
        held: hold_of(live, breaker.decision),
        revision: (revision, live.deployment.updated_at),
        proven: trouble.healthy.is_some_and(|healthy| healthy.last >= revision),
        healthy_before: trouble.healthy.and_then(|healthy| healthy.before(revision)),
        cause: cause_of(live, trouble),
        breaker_opened,
        standby_ready,
        runbook_ended,
        host_trouble: host.healing.open_incident(None).map(|incident| incident.reason),
    })
}

/// Returns why nothing may act on a deployment, if a person has decided about it.
fn hold_of(live: &ActiveDeployment, decision: Option<BreakerDecision>) -> Option<String> {
    if let Some(pause) = &live.deployment.paused {
        return Some(format!("the deployment is paused: {}", pause.note));
    }
    if !live.plan.enabled {
        return Some("the deployment is not enabled".to_owned());
    }
    let decision = decision.filter(|decision| decision.mode != BreakerMode::Automatic)?;
    Some(format!("an operator has set its circuit breaker to {}: {}", decision.mode.as_str(), decision.note))
}

/// Describes the last failed runs.
pub(super) fn describe(runs: &[(RunId, String)]) -> Option<String> {
    let (id, code) = runs.last()?;
    Some(format!("run {id} failed with {code}"))
}
