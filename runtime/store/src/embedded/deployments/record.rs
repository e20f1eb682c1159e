//! The current revision of a deployment.

use tidemill_core::DeploymentName;

use crate::embedded::tables::DEPLOYMENTS;
use crate::embedded::tx::ReadTx;
use crate::error::{Result, StoreError};
use crate::records::Deployment;

pub(crate) fn get(store: &impl ReadTx, name: &DeploymentName) -> Result<Option<Deployment>> {
    store.record(DEPLOYMENTS, name.as_str().as_bytes())
}

pub(crate) fn no_deployment(name: &DeploymentName) -> StoreError {
    StoreError::NotFound { kind: "deployment", name: name.to_string() }
}
