//! Deployments that ask for more than the operator's policy allows: they were there before it became so strict.

use tidemill_core::Policy;

use crate::error::ControlError;
use crate::host::Host;
use crate::live::manifest_of;

impl Host {
    /// Logs what deployments ask for beyond the policy in force. Secrets, origins and limits beyond it have no effect from the
    /// next call or run on; schedules stay until the deployment is put again.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_beyond_policy(&self) -> Result<(), ControlError> {
        let policy = self.0.config.policy.now();
        if *policy == Policy::default() {
            return Ok(());
        }
        let now = self.0.clock.now();
        for name in self.0.lives.all().keys() {
            let Some(deployment) = self.0.store.deployment(name).await? else { continue };
            for beyond in policy.check(name, &manifest_of(&deployment)?, now) {
                let (field, detail) = (beyond.pointer, beyond.message);
                tracing::warn!(deployment = %name, field, detail, "a deployment asks for more than the policy allows");
            }
        }
        Ok(())
    }
}
