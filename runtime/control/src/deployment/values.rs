//! Reads and edits values of a deployment's state for an operator. Runs use the engine instead.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::limits::{STATE_KEY_BYTES, STATE_VALUE_BYTES};
use tidemill_core::{Code, DeploymentName};
use tidemill_store::StoreError;
use tidemill_store::records::{ScanPage, ScanRequest, StateEdit, StateEditResult, Version, VersionedValue};

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// Maximum time to wait for a run that holds the deployment's write lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Reads a value of a deployment's state, with its version.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/state-key-not-found`; `host/limit-state-key`.
    pub async fn state_value(&self, deployment: &DeploymentName, key: &str) -> Result<(Bytes, Version), ControlError> {
        check_key(key)?;
        self.0.deployments.require(deployment)?;
        let VersionedValue { value, version } = self.0.store.state(deployment, key).await?;
        let value = value.ok_or_else(|| value_not_found(deployment, key))?;
        Ok((value, version))
    }

    /// Lists keys and values of a deployment's state. A page ends at 1 MiB, whatever its limit is.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/limit-state-key`.
    pub async fn scan_state(
        &self,
        deployment: &DeploymentName,
        request: ScanRequest,
    ) -> Result<ScanPage, ControlError> {
        if !request.prefix.is_empty() {
            check_key(&request.prefix)?;
        }
        self.0.deployments.require(deployment)?;
        Ok(self.0.store.scan_state(deployment, &request).await?)
    }

    /// Sets a value by hand, or deletes it if `value` is `None`. With `expected`, only if the
    /// present value has that version. The feed shows the change. The edit is serialisable with
    /// runs: a run that has read the key conflicts and retries.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/state-key-not-found` if there is nothing to delete;
    /// `host/precondition-failed`; `host/limit-state-key`; `host/limit-state-value`.
    pub async fn edit_state(
        &self,
        deployment: &DeploymentName,
        key: String,
        value: Option<Bytes>,
        expected: Option<Version>,
    ) -> Result<StateEditResult, ControlError> {
        self.0.shutdown.check_open()?;
        check_key(&key)?;
        if let Some(value) = &value
            && value.len() > STATE_VALUE_BYTES
        {
            let detail = format!("a value has at most {STATE_VALUE_BYTES} bytes, and this one has {}", value.len());
            return Err(ControlError::refused(Code::LimitStateValue, detail));
        }
        let live = self.0.deployments.require(deployment)?;
        let (host, deployment) = (Arc::clone(&self.0), deployment.clone());
        run_to_completion(async move {
            // A run whose commits kept conflicting may hold the lock exclusively for a moment.
            let _turn = tokio::time::timeout(LOCK_TIMEOUT, Arc::clone(&live.contention).read_owned()).await.ok();
            let edit =
                StateEdit { deployment: deployment.clone(), key: key.clone(), value, expected, now: host.clock.now() };
            let set = edit.value.is_some();
            let edited = host.store.edit_state(edit).await.map_err(|error| match error {
                StoreError::NotFound { kind: "state key", .. } => value_not_found(&deployment, &key),
                error => {
                    host.store_failures.record(&error);
                    error.into()
                }
            })?;
            let change = if set { "set" } else { "deleted" };
            tracing::info!(%deployment, ?key, change, version = edited.version.0, "changed state by hand");
            Ok(edited)
        })
        .await
    }
}

fn check_key(key: &str) -> Result<(), ControlError> {
    if (1..=STATE_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let detail = format!("a key has 1 to {STATE_KEY_BYTES} bytes, and this one has {}", key.len());
    Err(ControlError::refused(Code::LimitStateKey, detail))
}

fn value_not_found(deployment: &DeploymentName, key: &str) -> ControlError {
    ControlError::refused(Code::StateKeyNotFound, format!("the state of `{deployment}` has no value under `{key}`"))
}
