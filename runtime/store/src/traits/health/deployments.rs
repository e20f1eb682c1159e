//! The health of deployments, as far as it must survive a restart.

use async_trait::async_trait;
use tidemill_core::health::{HealthTransition, Outage};
use tidemill_core::{DeploymentName, Revision, Timestamp};

use crate::error::StoreError;
use crate::records::{HealthyRevisions, Page, PageRequest};

/// The changes of the health of deployments, and the outages of the host.
#[async_trait]
pub trait HealthStore: Send + Sync + 'static {
    /// Records a change of the health of a deployment, and announces it on the feed. Has no effect
    /// if the deployment does not exist. Removes changes that are too old or too many, but always
    /// keeps the last one before each period that can be asked for.
    async fn record_health(&self, deployment: &DeploymentName, transition: HealthTransition) -> Result<(), StoreError>;
    /// Returns the changes of a deployment's health, the newest first.
    async fn health_transitions(
        &self,
        deployment: &DeploymentName,
        page: PageRequest,
    ) -> Result<Page<HealthTransition>, StoreError>;
    /// Records that a revision of a deployment is healthy. Has no effect if the deployment does not
    /// exist, or if a later revision is known to be healthy.
    async fn record_healthy_revision(&self, deployment: &DeploymentName, revision: Revision) -> Result<(), StoreError>;
    /// Returns the last healthy revisions of each deployment, sorted by name.
    async fn healthy_revisions(&self) -> Result<Vec<(DeploymentName, HealthyRevisions)>, StoreError>;
    /// Records that the host runs at `now`.
    async fn mark_alive(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Records the time from the last [`HealthStore::mark_alive`] to `now` as an outage of the
    /// host, and marks it as alive. A host that starts calls it.
    async fn record_outage(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Returns the last outages of the host, in order.
    async fn outages(&self) -> Result<Vec<Outage>, StoreError>;
}
