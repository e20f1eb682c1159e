//! The wire form of the health of the host and of its deployments.

use tidemill_api_types as shapes;
use tidemill_control::{CheckResult, ClockSetBack, DeploymentHealth, HealthSummary, ObjectiveStatus, Vital};
use tidemill_core::health::{Assessment, HealthSignal, HealthTransition};
use tidemill_core::manifest::ServiceObjective;

use crate::wire::FromRecord;

impl FromRecord<ClockSetBack> for shapes::ClockSetBack {
    fn of(found: ClockSetBack) -> Self {
        let silent = found.named.into_iter().map(|(deployment, schedule, next)| shapes::SilentSchedule {
            deployment: deployment.to_string(),
            schedule: schedule.to_string(),
            next: shapes::Time(next),
        });
        Self {
            back_ms: found.back_millis,
            schedules: found.schedules,
            until: shapes::Time(found.until),
            silent: silent.collect(),
        }
    }
}

pub fn summary(health: &HealthSummary) -> shapes::HealthSummary<'_> {
    shapes::HealthSummary {
        deployment: health.deployment.as_str().into(),
        status: health.state.status.as_str().into(),
        since: health.state.since.map(shapes::Time),
        reason: health.state.reason.as_deref().map(Into::into),
        failures: health.state.failures,
        observed: health.observed,
    }
}

pub fn deployment(health: &DeploymentHealth) -> shapes::DeploymentHealth<'_> {
    let [hour, day, month] = health.uptimes.map(|uptime| uptime.share());
    shapes::DeploymentHealth {
        summary: summary(&health.summary),
        checked: health.checked,
        every_ms: health.every_millis,
        next: health.next.map(shapes::Time),
        uptime: shapes::Uptimes { hour, day, month },
        objectives: health.objectives.iter().map(objective).collect(),
        signals: health.signals.iter().map(signal).collect(),
        results: health.results.iter().map(result).collect(),
    }
}

pub fn vital(vital: &Vital) -> shapes::HealthSignal<'_> {
    shapes::HealthSignal {
        name: vital.name.into(),
        value: vital.value,
        limit: vital.limit,
        problem: vital.problem.as_deref().map(Into::into),
    }
}

fn objective(status: &ObjectiveStatus) -> shapes::ObjectiveStatus<'_> {
    let within_ms = match status.objective {
        ServiceObjective::Availability(_) => None,
        ServiceObjective::Latency { within_millis, .. } => Some(within_millis),
    };
    shapes::ObjectiveStatus {
        name: status.objective.as_str().into(),
        target: status.objective.target().to_string(),
        within_ms,
        budget_left: status.budget_left,
    }
}

fn signal(signal: &HealthSignal) -> shapes::HealthSignal<'_> {
    shapes::HealthSignal {
        name: signal.kind.as_str().into(),
        value: signal.value,
        limit: signal.limit,
        problem: signal.problem.as_deref().map(Into::into),
    }
}

fn result(result: &CheckResult) -> shapes::HealthCheckResult<'_> {
    let status = match &result.assessment {
        Assessment::NoEvidence => "unknown",
        Assessment::Healthy => "healthy",
        Assessment::Degraded(_) => "degraded",
        Assessment::Failed(_) | Assessment::Unhealthy(_) => "failed",
    };
    shapes::HealthCheckResult {
        at: result.at.into(),
        status: status.into(),
        reason: result.assessment.reason().map(Into::into),
        code: result.code.as_deref().map(Into::into),
        took_ms: result.took_millis,
        fuel: result.fuel.get(),
        log: result.lines.iter().map(|(_, message)| message.as_str().into()).collect(),
    }
}

pub fn transition(transition: &HealthTransition) -> shapes::HealthTransition<'_> {
    shapes::HealthTransition {
        at: transition.at.into(),
        from: transition.from.as_str().into(),
        to: transition.to.as_str().into(),
        reason: transition.reason.as_str().into(),
    }
}
