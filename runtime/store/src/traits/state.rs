//! The state of deployments.

use async_trait::async_trait;
use tidemill_core::DeploymentName;

use crate::error::StoreError;
use crate::records::{ScanPage, ScanRequest, StateEdit, StateEditResult, VersionedValue};

/// The keys and values of deployments.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// Returns the last committed value of a state key of a deployment.
    async fn state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue, StoreError>;
    /// Returns the value of a state key as the next commit will most likely find it. The value can
    /// come from a commit that is not durable yet and may fail. Use it only for a run: the run's
    /// own commit checks the version, refuses if that commit failed, and is not durable before it.
    async fn newest_state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue, StoreError> {
        self.state(deployment, key).await
    }
    /// Lists committed keys and values of a deployment's state. A page shows one moment.
    async fn scan_state(&self, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage, StoreError>;
    /// Changes a state value by hand and announces the change on the feed. A run that has read the
    /// old value and commits later conflicts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the deployment, or for the key of a value to delete;
    /// [`StoreError::ValueChanged`] if the value has another version than expected.
    async fn edit_state(&self, edit: StateEdit) -> Result<StateEditResult, StoreError>;
}
