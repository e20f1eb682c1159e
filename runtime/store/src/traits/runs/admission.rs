//! The runs that wait to execute.

use async_trait::async_trait;
use tidemill_core::ids::Owner;
use tidemill_core::lane::Lane;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{AdmissionLimits, AdmissionResult, ClaimedRun, QueuePosition, RecoveryFilter};

/// The queues of runs: claims, lanes and positions.
#[async_trait]
pub trait AdmissionStore: Send + Sync + 'static {
    /// Claims up to `limit` runs of a deployment that are due, queued or suspended, and in all
    /// their lanes. Runs that have started before come first, then runs of higher priority, then
    /// older runs. For runs that have not started before, sixteen passes over their priority level
    /// raise it by one step, and `limits.rate` limits how many start. A queued run without room in
    /// a budget of fuel waits until the period ends or fuel returns. Runs beyond
    /// `limits.unprivileged` stay where they are; of a long list of runs that have started before,
    /// only the first part is searched for privileged ones then.
    async fn admit(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        limits: AdmissionLimits,
        now: Timestamp,
    ) -> Result<AdmissionResult, StoreError>;
    /// Takes over runs that earlier epochs of `owner`'s node, or dead nodes, left running and that
    /// match the filter: at most `limit`, oldest first. Counts each takeover in the run.
    async fn take_over(
        &self,
        owner: &Owner,
        of: RecoveryFilter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>, StoreError>;
    /// Returns the deployments with runs that can be claimed at `now`.
    async fn waiting_deployments(&self, now: Timestamp) -> Result<Vec<DeploymentName>, StoreError>;
    /// Returns when the next queued or suspended run becomes due that is not due at `now`.
    async fn next_delayed(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
    /// Returns how many runs of a deployment are queued, whether or not they are due or in their
    /// lanes. The number is exact, and the cost does not depend on it.
    async fn queue_length(&self, deployment: &DeploymentName) -> Result<u64, StoreError>;
    /// Returns since when the next runs of a deployment could have been claimed: the earliest time
    /// of the first queued run of each priority. `None` if no run can be claimed.
    async fn oldest_ready(&self, deployment: &DeploymentName) -> Result<Option<Timestamp>, StoreError>;
    /// Returns the queue position of a run; `None` if the run does not exist. Runs ahead of it are
    /// counted up to `max`.
    async fn queue_position(&self, id: RunId, max: usize) -> Result<Option<QueuePosition>, StoreError>;
    /// Returns a lane that would deadlock a new run of `deployment` with these lanes, started by
    /// `parent` now, and the run that holds it: the new run would wait for the lane while `parent`
    /// or one of its ancestors is in it.
    async fn lane_deadlock(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        lanes: &[Lane],
    ) -> Result<Option<(String, RunId)>, StoreError>;
}
