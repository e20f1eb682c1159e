//! Returning a deployment to an earlier revision: a new revision with that one's manifest and component.

use tidemill_core::{Code, DeploymentName, Revision};

use crate::control_plane::{ControlPlane, run_to_completion};
use crate::deployment::active::manifest_of;
use crate::deployment::deploy::DeployResult;
use crate::error::ControlError;

impl ControlPlane {
    /// Makes a revision with the manifest and the component of the revision `to`, or of the one before the present if it is none.
    /// State stays as it is. With `expected`, only if that is the present revision; with `dry_run`, says what would happen.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/revision-not-found`; `host/component-not-found` if its component was deleted;
    /// `host/precondition-failed`; what keeps the manifest from being deployed today.
    pub async fn rollback(
        &self,
        name: &DeploymentName,
        to: Option<Revision>,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        self.0.check_open()?;
        let (host, name) = (self.clone(), name.clone());
        run_to_completion(async move { host.rollback_now(name, to, expected, dry_run).await }).await
    }

    async fn rollback_now(
        &self,
        name: DeploymentName,
        to: Option<Revision>,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        let present = self.0.live(&name)?.deployment.revision;
        let no_revision = |detail: String| ControlError::refused(Code::RevisionNotFound, detail);
        let (to, expected) = match to {
            Some(to) => (to, expected),
            None => {
                let before = present.get().checked_sub(1).filter(|number| *number > 0);
                let before = before.ok_or_else(|| {
                    no_revision(format!("`{name}` is at its first revision, so there is none before it"))
                })?;
                // "The one before" means the one before what the caller sees now.
                (Revision::new(before), expected.or(Some(Some(present))))
            }
        };
        let store = &self.0.store;
        let target = store.revision(&name, to).await?;
        let target = target
            .ok_or_else(|| no_revision(format!("`{name}` has no revision {to}; its present revision is {present}")))?;
        let component = store.component(&target.component).await?;
        let component = component.ok_or_else(|| {
            let detail = format!("the component of revision {to}, {}, was deleted", target.component);
            ControlError::refused_with(Code::ComponentNotFound, detail, "Upload it again, or choose another revision.")
        })?;
        let mut manifest = manifest_of(&target)?;
        manifest.name = Some(name.clone());
        self.deploy_component(name, manifest, component, expected, dry_run).await
    }
}
