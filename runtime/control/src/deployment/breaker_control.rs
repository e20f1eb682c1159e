//! What callers and operators see of the circuit breakers of deployments, and the decisions of
//! operators about them.

use std::sync::Arc;

use tidemill_core::breaker::{BreakerMode, BreakerRefusal};
use tidemill_core::wire::is_blank;
use tidemill_core::{Code, DeploymentName, Timestamp};
use tidemill_store::records::BreakerDecision;

use crate::deployment::active::ActiveDeployment;
use crate::deployment::breaker::BreakerReport;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::validate::checked_note;

/// When a caller may ask again whether an operator still keeps a breaker open, in seconds.
const FORCED_RETRY_SECS: u64 = 60;

impl ControlPlane {
    /// Returns the state of a deployment's breaker.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub fn breaker(&self, name: &DeploymentName) -> Result<BreakerReport, ControlError> {
        Ok(self.0.deployments.require(name)?.limiter.breaker.report(self.0.clock.now()))
    }

    /// Sets who decides about a deployment's breaker, with the reason. The decision holds over
    /// revisions and restarts, until the next one.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/bad-field` if the note is empty or too long.
    pub async fn decide_breaker(
        &self,
        name: &DeploymentName,
        mode: BreakerMode,
        note: String,
    ) -> Result<BreakerReport, ControlError> {
        self.0.shutdown.check_open()?;
        let note = checked_note(note)?;
        if is_blank(&note) {
            let detail = "the decision about a breaker needs a note with its reason";
            return Err(ControlError::refused(Code::BadField, detail));
        }
        let (host, name) = (Arc::clone(&self.0), name.clone());
        run_to_completion(async move {
            let _turn = host.changes.lock().await;
            host.changes.check_not_deleting(&name)?;
            let live = host.deployments.require(&name)?;
            let decision = BreakerDecision { mode, since: host.clock.now(), note };
            let stored = host.store.decide_breaker(&name, decision.clone()).await;
            stored.inspect_err(|error| host.store_failures.record(error))?;
            host.metrics.count_breaker(name.as_str(), mode.as_str());
            tracing::info!(deployment = %name, mode = mode.as_str(), note = ?decision.note, "changed circuit breaker by hand");
            live.limiter.breaker.decide(decision);
            Ok(live.limiter.breaker.report(host.clock.now()))
        })
        .await
    }

    /// Refuses a caller that waits for a result while no run of the deployment may start.
    ///
    /// # Errors
    /// `host/circuit-open`.
    pub(crate) fn check_breaker(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let now = self.0.clock.now();
        live.limiter.breaker.check(now).map_err(|refusal| circuit_open(live, refusal, now))
    }
}

/// Returns the refusal of a caller that waits for a result.
pub(crate) fn circuit_open(live: &ActiveDeployment, refusal: BreakerRefusal, now: Timestamp) -> ControlError {
    let (name, BreakerRefusal { since, until }) = (&live.deployment.name, refusal);
    let report = live.limiter.breaker.report(now);
    let (since, reason) = (since.to_rfc3339(), report.reason);
    let Some(until) = until else {
        return ControlError::CircuitOpen {
            detail: format!("an operator has kept the circuit breaker of `{name}` open since {since}: {reason}"),
            fix: Some(format!(
                "`tidemill deployments breaker {name} --auto --note TEXT` lets its attempts decide again."
            )),
            retry_after: FORCED_RETRY_SECS,
        };
    };
    let detail = format!(
        "the circuit breaker of `{name}` has been open since {since}: {reason}; the next runs may start at {}",
        until.to_rfc3339()
    );
    ControlError::CircuitOpen { detail, fix: None, retry_after: until.millis_since(now).div_ceil(1_000).max(1) }
}
