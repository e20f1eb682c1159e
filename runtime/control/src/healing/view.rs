//! Incidents as operators see them.

use tidemill_core::healing::{Incident, TimelineEntry};
use tidemill_store::records::{IncidentFilter, Page, PageRequest};

use crate::error::ControlError;
use crate::healing::person::no_incident;
use crate::state::ControlPlane;

/// An incident with its timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentDetails {
    /// The incident.
    pub incident: Incident,
    /// Its timeline, in order.
    pub timeline: Vec<TimelineEntry>,
}

impl ControlPlane {
    /// Lists incidents, the latest first.
    ///
    /// # Errors
    /// `host/deployment-not-found` if the filter names none; errors of the store.
    pub async fn incidents(&self, filter: IncidentFilter, page: PageRequest) -> Result<Page<Incident>, ControlError> {
        if let Some(name) = &filter.deployment {
            self.0.deployments.require(name)?;
        }
        Ok(self.0.store.incidents(filter, page).await?)
    }

    /// Returns an incident with its timeline.
    ///
    /// # Errors
    /// `host/incident-not-found`; errors of the store.
    pub async fn incident(&self, number: u64) -> Result<IncidentDetails, ControlError> {
        let incident = self.0.store.incident(number).await?.ok_or_else(|| no_incident(number))?;
        Ok(IncidentDetails { incident, timeline: self.0.store.timeline(number).await? })
    }
}
