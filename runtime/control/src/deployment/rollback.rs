//! Returns a deployment to an earlier revision by a new revision with the old manifest and
//! component.

use tidemill_core::{Code, DeploymentName, Manifest, Revision};
use tidemill_store::records::{Component, IncidentUpdate};

use crate::deployment::active::manifest_of;
use crate::deployment::deploy::DeployResult;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// What a rollback deploys.
pub(crate) struct RollbackTarget {
    pub(crate) manifest: Manifest,
    pub(crate) component: Component,
    /// The revision that must be the present one.
    pub(crate) expected: Option<Option<Revision>>,
}

impl ControlPlane {
    /// Creates a revision with the manifest and the component of revision `to`, or of the revision
    /// before the present one if `to` is `None`. The deployment's state does not change. With
    /// `expected`, only if that is the present revision. With `dry_run`, changes nothing and
    /// returns what would happen.
    ///
    /// # Errors
    /// `host/deployment-not-found`; `host/revision-not-found`; `host/component-not-found` if its
    /// component was deleted; `host/precondition-failed`; every reason why the manifest cannot be
    /// deployed today.
    pub async fn rollback(
        &self,
        name: &DeploymentName,
        to: Option<Revision>,
        expected: Option<Option<Revision>>,
        dry_run: bool,
    ) -> Result<DeployResult, ControlError> {
        self.0.shutdown.check_open()?;
        let (host, name) = (self.clone(), name.clone());
        run_to_completion(async move { host.rollback_now(name, to, expected, dry_run, None).await }).await
    }

    /// As [`ControlPlane::rollback`]. The change of an incident whose repair this is, is committed
    /// with it.
    pub(crate) async fn rollback_now(
        &self,
        name: DeploymentName,
        to: Option<Revision>,
        expected: Option<Option<Revision>>,
        dry_run: bool,
        incident: Option<IncidentUpdate>,
    ) -> Result<DeployResult, ControlError> {
        let target = self.rollback_target(&name, to, expected).await?;
        let RollbackTarget { manifest, component, expected } = target;
        self.deploy_component(name, manifest, component, expected, dry_run, incident).await
    }

    /// Returns what a rollback deploys.
    ///
    /// # Errors
    /// As [`ControlPlane::rollback`].
    pub(crate) async fn rollback_target(
        &self,
        name: &DeploymentName,
        to: Option<Revision>,
        expected: Option<Option<Revision>>,
    ) -> Result<RollbackTarget, ControlError> {
        let present = self.0.deployments.require(name)?.deployment.revision;
        let no_revision = |detail: String| ControlError::refused(Code::RevisionNotFound, detail);
        let (to, expected) = match to {
            Some(to) => (to, expected),
            None => {
                let before = present.get().checked_sub(1).filter(|number| *number > 0);
                let before = before.ok_or_else(|| {
                    no_revision(format!("`{name}` is at its first revision, so there is none before it"))
                })?;
                // The revision before the present one is relative to what the caller saw.
                (Revision::new(before), expected.or(Some(Some(present))))
            }
        };
        let store = &self.0.store;
        let target = store.revision(name, to).await?;
        let target = target
            .ok_or_else(|| no_revision(format!("`{name}` has no revision {to}; its present revision is {present}")))?;
        let component = store.component(&target.component).await?;
        let component = component.ok_or_else(|| {
            let detail = format!("the component of revision {to}, {}, was deleted", target.component);
            ControlError::refused_with(Code::ComponentNotFound, detail, "Upload it again, or choose another revision.")
        })?;
        let mut manifest = manifest_of(&target)?;
        manifest.name = Some(name.clone());
        Ok(RollbackTarget { manifest, component, expected })
    }
}
