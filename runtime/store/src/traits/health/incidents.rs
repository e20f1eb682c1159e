//! Incidents, and where runs go during a repair.

use async_trait::async_trait;
use tidemill_core::DeploymentName;
use tidemill_core::healing::{Incident, TimelineEntry};

use crate::error::StoreError;
use crate::records::{
    IncidentFilter, IncidentUpdate, NewIncident, NewRun, Page, PageRequest, RunRequestResult, StandbyRoute,
};

/// The incidents of deployments and of the host.
///
/// A step of a repair that changes a deployment is committed together with the change of the
/// incident: see [`PutDeployment`](crate::records::PutDeployment) and
/// [`DeploymentStore::pause_deployment`](crate::DeploymentStore::pause_deployment).
#[async_trait]
pub trait IncidentStore: Send + Sync + 'static {
    /// Opens an incident. If its deployment, or the host, has an open one, returns that one and
    /// changes nothing. Removes the oldest incidents that have ended, if there are too many.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the deployment does not exist.
    async fn open_incident(&self, new: NewIncident) -> Result<Incident, StoreError>;
    /// Changes an incident, and announces a new phase. Returns it as it is stored.
    ///
    /// # Errors
    /// [`StoreError::IncidentChanged`] if it has another version.
    async fn update_incident(&self, update: IncidentUpdate) -> Result<Incident, StoreError>;
    /// Changes an incident and requests the run of a runbook for it.
    ///
    /// # Errors
    /// As [`IncidentStore::update_incident`]; errors of the request.
    async fn start_runbook(
        &self,
        update: IncidentUpdate,
        run: NewRun,
    ) -> Result<(Incident, RunRequestResult), StoreError>;
    /// Changes an incident and where the new runs of its deployment go.
    ///
    /// # Errors
    /// As [`IncidentStore::update_incident`].
    async fn route_runs(&self, update: IncidentUpdate, to: Option<StandbyRoute>) -> Result<Incident, StoreError>;
    /// Returns where the new runs of deployments go, sorted by name.
    async fn routes(&self) -> Result<Vec<(DeploymentName, StandbyRoute)>, StoreError>;
    /// Returns an incident.
    async fn incident(&self, number: u64) -> Result<Option<Incident>, StoreError>;
    /// Returns the last incident of a deployment, or of the host.
    async fn last_incident(&self, deployment: Option<&DeploymentName>) -> Result<Option<Incident>, StoreError>;
    /// Lists incidents, the latest first. A page may be shorter than its limit although others
    /// follow.
    async fn incidents(&self, filter: IncidentFilter, page: PageRequest) -> Result<Page<Incident>, StoreError>;
    /// Returns the timeline of an incident, in order.
    async fn timeline(&self, number: u64) -> Result<Vec<TimelineEntry>, StoreError>;
}
