//! Operations for tests and benchmarks.

use async_trait::async_trait;
use tidemill_core::ids::Owner;
use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::error::StoreError;
use crate::records::{AdmissionLimits, ClaimedRun, LaneView, UnendedFirings};
use crate::traits::AdmissionStore;

/// What only tests and benchmarks call.
#[async_trait]
pub trait InspectionStore: AdmissionStore {
    /// Claims runs without limits; see [`AdmissionStore::admit`].
    async fn claim(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>, StoreError> {
        Ok(self.admit(owner, deployment, limit, AdmissionLimits::default(), now).await?.claimed)
    }
    /// Returns how many runs of a deployment can be claimed, counted up to `max`.
    async fn queued(&self, deployment: &DeploymentName, max: usize) -> Result<usize, StoreError>;
    /// Returns the current view of a lane, with at most `max` of the runs in it and at most `max`
    /// of the waiting runs. An unused lane is empty.
    async fn lane(&self, deployment: &DeploymentName, lane: &str, max: usize) -> Result<LaneView, StoreError>;
    /// Returns the runs of a schedule that have not ended and are not parked, at most `max` of
    /// each kind.
    async fn unended_firings(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        max: usize,
    ) -> Result<UnendedFirings, StoreError>;
}
