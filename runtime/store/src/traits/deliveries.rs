//! Deliveries to hooks.

use async_trait::async_trait;
use tidemill_core::run::Run;
use tidemill_core::{DeliveryId, DeploymentName, RunId, Timestamp};

use crate::error::StoreError;
use crate::records::{
    DeliveryBody, DeliveryFilter, DeliveryPolicy, DeliveryReceipt, DeliveryRecord, DeliveryReplay,
    DeliveryReplayResult, ExpiredDeliveries, HookDelivery, NewDelivery, NewRun, Page, PageRequest,
};

/// Deliveries, the backlog of those that wait for a run, and their replays. The outcome of a
/// delivery follows its latest run in the commits of that run.
#[async_trait]
pub trait DeliveryStore: Send + Sync + 'static {
    /// Stores a delivery and its request for a run in one commit, unless it is a duplicate. A
    /// duplicate is counted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the deployment does not exist, [`StoreError::OverBound`] if its
    /// quota of payloads is used up.
    async fn receive_delivery(&self, new: NewDelivery) -> Result<DeliveryReceipt, StoreError>;
    /// Returns one delivery.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError>;
    /// Returns the stored body of a delivery.
    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<DeliveryBody>, StoreError>;
    /// Lists deliveries, newest first.
    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<DeliveryRecord>, StoreError>;
    /// Returns the runs of a delivery, oldest first.
    async fn delivery_runs(&self, id: DeliveryId) -> Result<Vec<RunId>, StoreError>;
    /// Returns the ids of the ledger's entries that the runs of a delivery posted, in the order of
    /// their posting within each run: at most `limit`.
    async fn delivery_entries(&self, id: DeliveryId, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Returns the deployments with waiting deliveries, and the number of these.
    async fn backlogs(&self) -> Result<Vec<(DeploymentName, u64)>, StoreError>;
    /// Returns the deliveries of a deployment that wait longest, in order of arrival.
    async fn backlog(&self, deployment: &DeploymentName, limit: usize) -> Result<Vec<HookDelivery>, StoreError>;
    /// Creates the runs of the deliveries that wait longest, in one commit. Stops at the first that
    /// is not the next one in the backlog, or for which the queue or a quota has no room. Returns
    /// the created runs.
    async fn admit_deliveries(
        &self,
        deployment: &DeploymentName,
        runs: Vec<(DeliveryId, NewRun)>,
    ) -> Result<Vec<Run>, StoreError>;
    /// Ends some of the waiting deliveries of a deployment without a run. Returns whether others
    /// wait.
    async fn drop_backlog(&self, deployment: &DeploymentName, now: Timestamp) -> Result<bool, StoreError>;
    /// Starts a new run of each delivery that can be replayed, in one commit. If the operation is
    /// not running any more, nothing happens.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] or [`StoreError::OverBound`] if there is no room for one of the
    /// runs.
    async fn replay_deliveries(&self, replay: DeliveryReplay) -> Result<DeliveryReplayResult, StoreError>;
    /// Deletes and announces what the policy selects, at most `limit` of each.
    async fn expire_deliveries(
        &self,
        policy: DeliveryPolicy,
        limit: usize,
        now: Timestamp,
    ) -> Result<ExpiredDeliveries, StoreError>;
}
