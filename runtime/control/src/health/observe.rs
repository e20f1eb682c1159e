//! One observation of a deployment: the check, the figures, and the change of the status.

use std::sync::Arc;

use tidemill_core::alerts::{ServiceCounts, ServiceHistory};
use tidemill_core::breaker::{BreakerMode, BreakerPhase};
use tidemill_core::health::{Assessment, HealthState, HealthStatus, IntervalFigures};
use tidemill_core::{DeploymentName, Revision, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::HealthyRevisions;

use crate::alerts::ObservedHealth;
use crate::deployment::active::ActiveDeployment;
use crate::deployment::breaker::BreakerReport;
use crate::health::check::{CheckResult, check};
use crate::health::{HealthMonitor, ObservedDeployment, RESULTS};
use crate::state::HostState;

/// Number of healthy observations in a row after which a revision is known to be healthy.
const PROVEN_STREAK: u32 = 4;
/// Number of attempts that worked between two observations after which it is known at once.
const PROVEN_ATTEMPTS: u64 = 10;
/// Maximum number of deployments whose counts of attempts are stored in one commit.
const HISTORIES_MAX: usize = 500;

/// Observes a deployment, on a task of its own, so that a slow check delays no other.
pub(crate) fn spawn(host: &Arc<HostState>, live: Arc<ActiveDeployment>) {
    let host = Arc::clone(host);
    let tracker = host.loops.clone();
    tracker.spawn(async move {
        let _ending = EndNotice(&host.health, &live.deployment.name);
        let observed = tokio::select! {
            observed = observe(&host, &live) => observed,
            () = host.shutdown.closing.cancelled() => Ok(()),
        };
        if let Err(error) = observed {
            host.store_failures.record(&error);
        }
    });
}

/// Reports the end of an observation, even if it panics.
struct EndNotice<'a>(&'a HealthMonitor, &'a DeploymentName);

impl Drop for EndNotice<'_> {
    fn drop(&mut self) {
        self.0.note_end(self.1);
    }
}

async fn observe(host: &Arc<HostState>, live: &Arc<ActiveDeployment>) -> Result<(), StoreError> {
    let name = &live.deployment.name;
    let result = if live.plan.checks_health() {
        // The semaphore is never closed.
        let _permit = host.health.checks.acquire().await;
        Some(check(host, live).await)
    } else {
        None
    };
    let now = host.clock.now();
    let queue_age_millis = queue_age(host, live, now).await?;
    let (lag, breaker) = (host.deliveries.lag_of(name), live.limiter.breaker.report(now));
    let observation = host.health.assess(live, result, &breaker, queue_age_millis, lag, now);
    let Some(Observation { assessment, state: mut next, proven }) = observation else { return Ok(()) };
    if let Some(revision) = proven {
        // Nothing depends on the time at which it is known, so it is a commit of its own.
        host.store.record_healthy_revision(name, revision).await?;
        host.health.note_healthy_revision(name, revision);
    }
    if let Some(transition) = next.assess(assessment, now) {
        tracing::info!(
            deployment = %name, from = transition.from.as_str(), to = transition.to.as_str(), reason = transition.reason,
            "health of a deployment changed"
        );
        // The status changes in memory only after the commit. If it fails, the next observation
        // finds the same change.
        host.store.record_health(name, transition).await?;
    }
    let troubled = matches!(next.status, HealthStatus::Degraded | HealthStatus::Unhealthy);
    host.health.observed().set_state(name, next);
    host.observe_alerts(live, now);
    host.healing.on_observation(name, troubled);
    Ok(())
}

/// What one observation shows.
struct Observation {
    assessment: Assessment,
    /// The present state.
    state: HealthState,
    /// The revision that is now known to be healthy.
    proven: Option<Revision>,
}

/// Returns how long the oldest due run of a deployment waits.
async fn queue_age(host: &HostState, live: &ActiveDeployment, now: Timestamp) -> Result<u64, StoreError> {
    if live.limiter.queued() == 0 {
        return Ok(0);
    }
    let oldest = host.store.oldest_ready(&live.deployment.name).await?;
    Ok(oldest.map_or(0, |since| now.millis_since(since)))
}

/// Returns what the circuit breaker shows. `closed` is whether it has closed since the last
/// observation, which takes successful attempts.
fn breaker_assessment(breaker: &BreakerReport, closed: bool) -> Assessment {
    let reason = &breaker.reason;
    match (breaker.mode, breaker.phase) {
        (BreakerMode::Automatic, BreakerPhase::Open) => {
            Assessment::Unhealthy(format!("the circuit breaker is open: {reason}"))
        }
        // It decides soon. Until then, a check that succeeds shows less than the attempts.
        (BreakerMode::Automatic, BreakerPhase::HalfOpen) => {
            Assessment::Failed(format!("the circuit breaker is half-open: {reason}"))
        }
        (BreakerMode::Automatic, BreakerPhase::Closed) if closed => Assessment::Healthy,
        (BreakerMode::ForcedOpen, _) => Assessment::Degraded(format!("the circuit breaker is forced open: {reason}")),
        _ => Assessment::NoEvidence,
    }
}

impl HostState {
    /// Has the alerts follow what was observed of a deployment.
    fn observe_alerts(&self, live: &ActiveDeployment, now: Timestamp) {
        let (name, config) = (&live.deployment.name, self.config.alerts.now());
        let all = self.health.observed();
        let Some(observed) = all.all.get(name) else { return };
        let health = ObservedHealth {
            state: &observed.state,
            signals: &observed.signals,
            objectives: &live.plan.slo,
            history: &observed.history,
        };
        self.alerts.observe(&config, name, &health, now);
    }

    /// Stores the counts of attempts that have changed, for the objectives of deployments.
    ///
    /// # Errors
    /// Errors of the store. Then they are stored the next time that they change.
    pub(crate) async fn save_service_histories(&self) -> Result<(), StoreError> {
        let unsaved = self.health.take_unsaved();
        for part in unsaved.chunks(HISTORIES_MAX) {
            self.store.put_service_histories(part.to_vec()).await?;
        }
        Ok(())
    }
}

impl HealthMonitor {
    /// Adds what was observed of a deployment. Returns what it shows, and the present state.
    /// Returns `None` if the deployment was deleted in the meantime.
    fn assess(
        &self,
        live: &ActiveDeployment,
        result: Option<CheckResult>,
        breaker: &BreakerReport,
        queue_age_millis: u64,
        lag: u64,
        now: Timestamp,
    ) -> Option<Observation> {
        let mut all = self.observed();
        let observed: &mut ObservedDeployment = all.all.get_mut(&live.deployment.name)?;
        let (figures, reading) = observed.reading.since(live);
        let attempts = reading.attempts_since(std::mem::replace(&mut observed.reading, reading));
        if !live.plan.slo.is_empty() && attempts != ServiceCounts::default() {
            observed.history.add(attempts, now);
            observed.unsaved = true;
        }
        let before = observed.breaker.replace(breaker.phase);
        let closed = breaker.phase == BreakerPhase::Closed && before.is_some_and(|phase| phase != breaker.phase);
        let renewed = std::mem::replace(&mut observed.revision, live.deployment.revision) != live.deployment.revision;
        // What failed before the breaker closed, or under another revision, is over.
        let mut figures = IntervalFigures { queue_age_millis, lag, ..figures };
        if renewed {
            observed.healthy_streak = 0;
        }
        if closed || renewed {
            observed.monitor.forget_window();
            figures = IntervalFigures { attempts: 0, failed: 0, ..figures };
        }
        let (shown, signals) = observed.monitor.observe(figures);
        observed.signals = signals;
        let mut assessment = breaker_assessment(breaker, closed);
        if let Some(result) = result {
            assessment = assessment.or_worse(result.assessment.clone());
            if observed.results.len() == RESULTS {
                observed.results.pop_front();
            }
            // Only the last result keeps its log, so that many deployments take little memory.
            if let Some(last) = observed.results.back_mut() {
                last.lines = Vec::new();
            }
            observed.results.push_back(result);
        }
        let assessment = assessment.or_worse(shown);
        let worked = figures.attempts.saturating_sub(figures.failed);
        let proven = observed.note(&assessment, breaker.phase, worked, now);
        Some(Observation { assessment, state: observed.state.clone(), proven })
    }

    /// Returns the counts of attempts that were not saved since they changed.
    fn take_unsaved(&self) -> Vec<(DeploymentName, ServiceHistory)> {
        let mut all = self.observed();
        let unsaved = all.all.iter_mut().filter(|(_, observed)| observed.unsaved);
        unsaved
            .map(|(name, observed)| {
                observed.unsaved = false;
                (name.clone(), observed.history.clone())
            })
            .collect()
    }

    fn note_healthy_revision(&self, name: &DeploymentName, revision: Revision) {
        if let Some(observed) = self.observed().all.get_mut(name) {
            let before = observed.healthy.map(|healthy| healthy.last);
            observed.healthy = Some(HealthyRevisions { last: revision, before });
        }
    }
}

impl ObservedDeployment {
    /// Notes what an observation shows, with the number of attempts that `worked` since the one
    /// before. Returns the revision if it is now known to be healthy.
    fn note(
        &mut self,
        assessment: &Assessment,
        breaker: BreakerPhase,
        worked: u64,
        now: Timestamp,
    ) -> Option<Revision> {
        if *assessment == Assessment::NoEvidence {
            return None;
        }
        let failed = matches!(assessment, Assessment::Failed(_) | Assessment::Unhealthy(_));
        // The trial runs of a half-open breaker decide soon. Until then, nothing is known.
        if !failed || breaker != BreakerPhase::HalfOpen {
            self.shown = Some((now, failed));
        }
        self.failing_since = if failed { self.failing_since.or(Some(now)) } else { None };
        if *assessment != Assessment::Healthy {
            self.healthy_streak = 0;
            return None;
        }
        self.healthy_streak = self.healthy_streak.saturating_add(1);
        let is_new = self.healthy.is_none_or(|healthy| healthy.last < self.revision);
        (is_new && (self.healthy_streak >= PROVEN_STREAK || worked >= PROVEN_ATTEMPTS)).then_some(self.revision)
    }
}
