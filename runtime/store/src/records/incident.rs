//! Incidents: how they are opened and changed.

use serde::{Deserialize, Serialize};
use tidemill_core::healing::{FailureCause, Incident, IncidentPhase, IncidentSeverity, TimelineEntry};
use tidemill_core::{DeploymentName, Revision, Timestamp};

/// A new incident.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIncident {
    /// The deployment; `None` for one of the host.
    pub deployment: Option<DeploymentName>,
    /// How bad it is.
    pub severity: IncidentSeverity,
    /// What is wrong.
    pub reason: String,
    /// The deployment's revision.
    pub revision: Option<Revision>,
    /// When the trouble began.
    pub began_at: Timestamp,
    /// What the failures have in common.
    pub cause: FailureCause,
    /// The first entry of its timeline. Its time is that of the detection.
    pub entry: TimelineEntry,
}

/// A change of an incident, which is committed as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentUpdate {
    /// The incident after the change, with the version and the number of entries before it.
    pub incident: Incident,
    /// New entries of its timeline.
    pub entries: Vec<TimelineEntry>,
    /// The entry whose change was undone.
    pub undone: Option<u32>,
    /// The time of the change.
    pub now: Timestamp,
}

impl IncidentUpdate {
    /// Creates a change with one entry, at the time of the entry.
    #[must_use]
    pub fn new(incident: Incident, entry: TimelineEntry) -> Self {
        let now = entry.at;
        Self { incident, entries: vec![entry], undone: None, now }
    }
}

/// Where the new runs of a deployment go instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyRoute {
    /// The deployment that takes them.
    pub to: DeploymentName,
    /// The incident because of which they go there.
    pub incident: u64,
    /// Since when.
    pub since: Timestamp,
}

/// The revisions of a deployment that are known to have been healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthyRevisions {
    /// The last one.
    pub last: Revision,
    /// The one before it.
    pub before: Option<Revision>,
}

impl HealthyRevisions {
    /// Returns the last of them before `revision`.
    #[must_use]
    pub fn before(self, revision: Revision) -> Option<Revision> {
        [Some(self.last), self.before].into_iter().flatten().find(|healthy| *healthy < revision)
    }
}

/// Selects incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Only of this deployment.
    pub deployment: Option<DeploymentName>,
    /// Only those that are open, or only those that are not.
    pub open: Option<bool>,
    /// Only in this phase.
    pub phase: Option<IncidentPhase>,
}

impl IncidentFilter {
    /// Whether an incident is selected.
    #[must_use]
    pub fn selects(&self, incident: &Incident) -> bool {
        self.deployment.as_ref().is_none_or(|name| incident.deployment.as_ref() == Some(name))
            && self.open.is_none_or(|open| open == incident.phase.is_open())
            && self.phase.is_none_or(|phase| phase == incident.phase)
    }
}
