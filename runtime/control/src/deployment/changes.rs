//! Serializes the changes of deployments, so that the state in memory follows the order of the
//! commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::{Code, DeploymentName};

use crate::error::ControlError;

/// The lock of changes, and the deployments that are being deleted.
#[derive(Debug, Default)]
pub(crate) struct DeploymentChanges {
    lock: tokio::sync::Mutex<()>,
    /// Other requests cannot change these.
    deleting: Mutex<BTreeSet<DeploymentName>>,
}

impl DeploymentChanges {
    /// Takes the lock of changes.
    pub(crate) async fn lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lock.lock().await
    }

    /// Returns the deployments that are being deleted.
    pub(crate) fn deleting(&self) -> BTreeSet<DeploymentName> {
        self.deleting.lock().clone()
    }

    /// Refuses to change a deployment that is being deleted. The caller holds the lock of changes.
    ///
    /// # Errors
    /// `host/deployment-in-use`.
    pub(crate) fn check_not_deleting(&self, name: &DeploymentName) -> Result<(), ControlError> {
        if self.deleting.lock().contains(name) {
            let detail = format!("deployment `{name}` is being deleted");
            return Err(ControlError::refused_with(
                Code::DeploymentInUse,
                detail,
                "Send the request again once it is deleted.",
            ));
        }
        Ok(())
    }

    /// Marks a deployment as being deleted until the guard is dropped. The caller holds the lock of
    /// changes.
    ///
    /// # Errors
    /// `host/deployment-in-use` if it is marked already.
    pub(crate) fn begin_deletion(self: &Arc<Self>, name: &DeploymentName) -> Result<DeletionGuard, ControlError> {
        self.check_not_deleting(name)?;
        self.deleting.lock().insert(name.clone());
        Ok(DeletionGuard { changes: Arc::clone(self), name: name.clone() })
    }
}

/// Marks a deployment as being deleted until it is dropped.
pub(crate) struct DeletionGuard {
    changes: Arc<DeploymentChanges>,
    name: DeploymentName,
}

impl Drop for DeletionGuard {
    fn drop(&mut self) {
        self.changes.deleting.lock().remove(&self.name);
    }
}
