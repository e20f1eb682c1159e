//! Actions of runs on other deployments: each is performed once, and none overrides a person.
//!
//! The store keeps the answer of a call together with what the call changed. A run that was
//! interrupted before it recorded the answer repeats the call and receives that answer.

use std::sync::Arc;

use tidemill_core::breaker::BreakerMode;
use tidemill_core::operator::paused_by_person;
use tidemill_core::{Code, DeploymentName, Failure, RunId};
use tidemill_engine::{ObservedHealth, OperatorRequest};
use tidemill_store::StoreError;
use tidemill_store::records::{
    Deployment, OperatorAnswer, OperatorCall, OperatorChange, PageRequest, ParkedFilter, PutDeployment,
};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::deploy::ChangeCause;
use crate::deployment::recycle;
use crate::deployment::rollback::RollbackTarget;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::{ControlPlane, HostState};

/// Number of entries in one page of parked runs, and maximum number of pages that one call reads.
const PAGE: usize = 200;
const PAGES_MAX: usize = 20;

/// Performs an action for a call of a run. Repeats it while the store fails, and never returns once
/// executing runs are handed back: the run repeats the call then.
///
/// # Errors
/// The reason for which the action is refused.
pub(crate) async fn operate(
    host: &Arc<HostState>,
    call: OperatorCall,
    request: OperatorRequest,
) -> Result<OperatorAnswer, Failure> {
    let control = ControlPlane(Arc::clone(host));
    let mut failures = 0;
    loop {
        match control.operate(call.clone(), request).await {
            Ok(answer) => return Ok(answer),
            Err(ControlError::Store(error)) if error.is_transient() => {
                failures += 1;
                host.store_failures.record(&error);
                host.shutdown.back_off(failures).await;
            }
            Err(error) if error.code() != Code::ShuttingDown => return Err(failure_of(&error)),
            Err(_) => std::future::pending().await,
        }
        if host.shutdown.is_stopping() {
            std::future::pending::<()>().await;
        }
    }
}

/// Returns the health of a deployment as other runs see it.
///
/// # Errors
/// `host/deployment-not-found`.
pub(crate) fn health_of(host: &Arc<HostState>, name: &DeploymentName) -> Result<ObservedHealth, Failure> {
    let live = host.deployments.require(name).map_err(|error| failure_of(&error))?;
    let state = ControlPlane(Arc::clone(host)).health_summary(&live).state;
    Ok(ObservedHealth { state, paused: live.deployment.paused.is_some() })
}

fn failure_of(error: &ControlError) -> Failure {
    let code = error.code();
    code.failure(error.to_string())
}

impl ControlPlane {
    async fn operate(&self, call: OperatorCall, request: OperatorRequest) -> Result<OperatorAnswer, ControlError> {
        let host = self.clone();
        run_to_completion(async move { host.operate_now(call, request).await }).await
    }

    async fn operate_now(&self, call: OperatorCall, request: OperatorRequest) -> Result<OperatorAnswer, ControlError> {
        // Decisions of persons are made under this lock too.
        let _turn = self.0.changes.lock().await;
        if let Some(answer) = self.0.store.operator_answer(&call).await? {
            return Ok(answer);
        }
        self.0.changes.check_not_deleting(&call.deployment)?;
        let live = self.0.deployments.require(&call.deployment)?;
        self.check_person(&live).await?;
        let (deployment, action, by, run) = (call.deployment.clone(), call.action, call.by.clone(), call.run);
        let note = call.note.clone();
        let answer = match request {
            OperatorRequest::Pause => self.pause_for_call(&live, call, OperatorChange::Pause).await?,
            OperatorRequest::Resume => self.pause_for_call(&live, call, OperatorChange::Resume).await?,
            OperatorRequest::Rollback(to) => {
                let RollbackTarget { manifest, component, expected } =
                    self.rollback_target(&deployment, to, None).await?;
                let (name, cause) = (deployment.clone(), ChangeCause::Run(Box::new(call)));
                let result = Box::pin(self.deploy_in_turn(name, manifest, component, expected, false, cause)).await?;
                OperatorAnswer::Revision(result.deployment.revision)
            }
            OperatorRequest::Retry(limit) => self.retry_for_call(call, limit).await?,
            OperatorRequest::Recycle => {
                // To recycle twice is harmless, and not at all is not.
                recycle::recycle(&self.0, &live);
                self.0.store.operate(call, OperatorChange::Nothing, self.0.clock.now()).await?.answer
            }
        };
        tracing::info!(%deployment, %action, %by, %run, ?note, ?answer, "run acted on deployment");
        Ok(answer)
    }

    /// Refuses to act on a deployment that a person has paused or whose breaker they have forced.
    async fn check_person(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let name = &live.deployment.name;
        let refused = |detail: String, fix: String| Err(ControlError::refused_with(Code::OperatorRefused, detail, fix));
        if let Some(pause) = &live.deployment.paused
            && self.0.store.paused_by(name).await?.is_none()
        {
            let detail = paused_by_person(name, pause.since, &pause.note);
            return refused(detail, format!("`tidemill deployments resume {name}` lets runs act on it again."));
        }
        let report = live.limiter.breaker.report(self.0.clock.now());
        let forced = match report.mode {
            BreakerMode::ForcedOpen => "open",
            BreakerMode::ForcedClosed => "closed",
            BreakerMode::Automatic | BreakerMode::Disabled => return Ok(()),
        };
        let detail = format!("a person has forced the circuit breaker of `{name}` {forced}: {}", report.reason);
        refused(detail, format!("`tidemill deployments breaker {name} --auto --note TEXT` lets runs act on it again."))
    }

    async fn pause_for_call(
        &self,
        live: &ActiveDeployment,
        call: OperatorCall,
        change: OperatorChange,
    ) -> Result<OperatorAnswer, ControlError> {
        let result = self.0.store.operate(call, change, self.0.clock.now()).await?;
        if let Some(deployment) = result.deployment {
            self.0.apply_pause(live, deployment);
        }
        Ok(result.answer)
    }

    /// Stores a revision for a call, and returns the deployment after it.
    pub(crate) async fn put_for_call(&self, call: OperatorCall, put: PutDeployment) -> Result<Deployment, StoreError> {
        let (name, now) = (call.deployment.clone(), put.now);
        let result = self.0.store.operate(call, OperatorChange::Put(Box::new(put)), now).await?;
        let gone = || StoreError::NotFound { kind: "deployment", name: name.to_string() };
        result.deployment.ok_or_else(gone)
    }

    async fn retry_for_call(&self, call: OperatorCall, limit: u32) -> Result<OperatorAnswer, ControlError> {
        let name = call.deployment.clone();
        let runs = self.parked_runs(&name, limit as usize).await?;
        let result = self.0.store.operate(call, OperatorChange::Retry(runs), self.0.clock.now()).await?;
        if let OperatorAnswer::Runs(count) = result.answer {
            self.0.admission.count_queued(&vec![name; count as usize]);
        }
        self.0.effects.apply(result.caused);
        Ok(result.answer)
    }

    /// Returns parked runs of a deployment that can be retried, the newest first.
    async fn parked_runs(&self, name: &DeploymentName, limit: usize) -> Result<Vec<RunId>, ControlError> {
        let filter = ParkedFilter { deployment: Some(name.clone()), codes: Vec::new() };
        let (mut runs, mut page) = (Vec::new(), PageRequest::first(PAGE));
        for _ in 0..PAGES_MAX {
            let found = self.0.store.parked(filter.clone(), page).await?;
            for parked in found.items {
                let Some(run) = self.0.store.run(parked.run).await? else { continue };
                // The list also has cancelled runs, which cannot be retried.
                if run.state.name() == "parked" && self.check_delivery(&run).await.is_ok() {
                    runs.push(run.id);
                }
                if runs.len() == limit {
                    return Ok(runs);
                }
            }
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => break,
            }
        }
        Ok(runs)
    }
}
