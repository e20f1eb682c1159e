//! Deployments, the actions of runs on them, and their usage.

use async_trait::async_trait;
use tidemill_core::quotas::Quotas;
use tidemill_core::{DeploymentName, Revision, RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{
    BreakerDecision, CommitEffects, Deployment, IncidentUpdate, OperatorAnswer, OperatorCall, OperatorChange,
    OperatorResult, Page, PageRequest, Pause, PutDeployment, Usage,
};

/// Deployments and their revisions.
#[async_trait]
pub trait DeploymentStore: Send + Sync + 'static {
    /// Creates a revision. If component and manifest equal those of the current revision, writes
    /// nothing and returns the current revision.
    async fn put_deployment(&self, put: PutDeployment) -> Result<Deployment, StoreError>;
    /// Returns the current revision.
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StoreError>;
    /// Returns one revision.
    async fn revision(&self, name: &DeploymentName, revision: Revision) -> Result<Option<Deployment>, StoreError>;
    /// Lists all revisions, newest first.
    async fn revisions(&self, name: &DeploymentName, page: PageRequest) -> Result<Page<Deployment>, StoreError>;
    /// Lists all deployments, sorted by name.
    async fn deployments(&self, page: PageRequest) -> Result<Page<Deployment>, StoreError>;
    /// Pauses admission and firing of a deployment. `None` resumes them. The change of an incident
    /// whose repair this is, is committed with it.
    async fn pause_deployment(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        incident: Option<IncidentUpdate>,
        now: Timestamp,
    ) -> Result<Deployment, StoreError>;
    /// Stores an operator's decision about the breaker of a deployment, which replaces the one
    /// before. The feed announces it.
    async fn decide_breaker(&self, name: &DeploymentName, decision: BreakerDecision) -> Result<(), StoreError>;
    /// Returns the last decision about each breaker, sorted by deployment, without breakers that no
    /// operator has decided about.
    async fn breaker_decisions(&self) -> Result<Vec<(DeploymentName, BreakerDecision)>, StoreError>;
    /// Ends runs of a deployment that are queued, suspended or parked, without notifying their
    /// guests: a bounded number of runs after the run `after`. Returns the run to continue after,
    /// or `None` if no more are left.
    async fn end_waiting(
        &self,
        name: &DeploymentName,
        after: Option<RunId>,
        now: Timestamp,
    ) -> Result<(Option<RunId>, CommitEffects), StoreError>;
    /// Deletes a deployment with its schedules, revisions and state. Its runs and ledger entries
    /// stay.
    ///
    /// # Errors
    /// [`StoreError::UnendedRuns`] if runs have not ended.
    async fn delete_deployment(&self, name: &DeploymentName, now: Timestamp) -> Result<(), StoreError>;
}

/// Actions of runs on other deployments. Each takes effect at most once.
#[async_trait]
pub trait OperatorStore: Send + Sync + 'static {
    /// Changes a deployment for a call of a run, together with the answer that a repetition of the
    /// call receives. The feed announces the change with the run. A call that took effect before
    /// changes nothing and returns its first answer. The answers are kept until the run's next
    /// generation acts, or until the run is removed.
    ///
    /// # Errors
    /// [`StoreError::EffectImpossible`] with `host/operator-refused` if a person has paused the
    /// deployment, [`StoreError::OverBound`] if the generation has made its maximum of actions, the
    /// errors of [`put_deployment`](DeploymentStore::put_deployment).
    async fn operate(
        &self,
        call: OperatorCall,
        change: OperatorChange,
        now: Timestamp,
    ) -> Result<OperatorResult, StoreError>;
    /// Returns the answer of a call that took effect.
    async fn operator_answer(&self, call: &OperatorCall) -> Result<Option<OperatorAnswer>, StoreError>;
    /// Returns the run that paused a deployment; `None` if it is not paused, or if a person paused
    /// it.
    async fn paused_by(&self, deployment: &DeploymentName) -> Result<Option<RunId>, StoreError>;
}

/// The usage of deployments and their limits.
#[async_trait]
pub trait UsageStore: Send + Sync + 'static {
    /// Returns the usage of each deployment, sorted by name, without deployments that store
    /// nothing.
    async fn usage(&self) -> Result<Vec<(DeploymentName, Usage)>, StoreError>;
    /// Returns the quotas of each deployment.
    fn quotas(&self) -> Quotas;
}
