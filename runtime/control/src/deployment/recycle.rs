//! Recycles a deployment: drops what this process has built from its component, so that nothing
//! that went wrong in memory or in the code cache outlives it. Does not restart runs.

use tidemill_core::{ComponentDigest, DeploymentName};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::state::{ControlPlane, HostState};

/// What the recycling of a deployment has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecycleResult {
    /// The component whose code was dropped.
    pub component: ComponentDigest,
    /// The number of runs that left memory. They continue from their journals.
    pub runs: usize,
}

impl ControlPlane {
    /// Drops the resident instances of a deployment and the code of its component, in memory and in
    /// the code cache. The next run starts from the component's bytes. Runs that execute now keep
    /// the code that they began with, and no run fails.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub fn recycle(&self, name: &DeploymentName) -> Result<RecycleResult, ControlError> {
        self.0.shutdown.check_open()?;
        Ok(recycle(&self.0, &*self.0.deployments.require(name)?))
    }
}

/// Recycles a deployment. To repeat it is harmless.
pub(crate) fn recycle(host: &HostState, live: &ActiveDeployment) -> RecycleResult {
    let component = live.deployment.component;
    // The code goes first, so that no run that leaves memory finds it again.
    host.guests.evict(component);
    let runs = host.runs.resident.evict(&live.deployment.name);
    tracing::info!(deployment = %live.deployment.name, %component, runs, "recycled deployment");
    RecycleResult { component, runs }
}
