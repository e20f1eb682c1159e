//! Pauses and resumes deployments.

use std::sync::Arc;

use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{Deployment, IncidentUpdate, Pause};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::{ControlPlane, HostState};
use crate::validate::checked_note;

impl ControlPlane {
    /// Stops admissions and firings until the deployment is resumed. Executing runs continue, and
    /// requests wait.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub async fn pause(&self, name: &DeploymentName, note: String) -> Result<Deployment, ControlError> {
        let now = self.0.clock.now();
        self.set_pause(name, Some(Pause { since: now, note: checked_note(note)? }), None, now).await
    }

    /// Resumes a paused deployment. Each schedule's catch-up policy decides about firings missed
    /// during the pause.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub async fn resume(&self, name: &DeploymentName) -> Result<Deployment, ControlError> {
        self.set_pause(name, None, None, self.0.clock.now()).await
    }

    /// Pauses or resumes a deployment, together with the change of an incident if it is a repair.
    pub(crate) async fn set_pause(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        incident: Option<IncidentUpdate>,
        now: Timestamp,
    ) -> Result<Deployment, ControlError> {
        let (host, name) = (Arc::clone(&self.0), name.clone());
        run_to_completion(async move {
            let _turn = host.changes.lock().await;
            host.changes.check_not_deleting(&name)?;
            let live = host.deployments.require(&name)?;
            let note = pause.as_ref().map(|pause| pause.note.clone());
            let deployment = host.store.pause_deployment(&name, pause, incident, now).await?;
            match note {
                Some(note) => tracing::info!(deployment = %name, ?note, "paused deployment"),
                None => tracing::info!(deployment = %name, "resumed deployment"),
            }
            host.apply_pause(&live, deployment.clone());
            Ok(deployment)
        })
        .await
    }
}

impl HostState {
    /// Applies a pause, or the end of one, that was committed. The caller holds the lock of
    /// changes.
    pub(crate) fn apply_pause(&self, live: &ActiveDeployment, deployment: Deployment) {
        let live = self.deployments.put(&self.metrics, deployment, Arc::clone(&live.plan));
        self.schedules.rescheduled.notify_one();
        self.deliveries.note_changed(&live.deployment.name);
        self.admission.node.backlog.enqueue_deployment(&live.limiter);
        self.admission.deliveries.note_room();
    }
}
