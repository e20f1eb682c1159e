//! Deployments and their revisions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::{ComponentDigest, DeploymentName, Revision, Timestamp};

use super::{ScheduleChange, SubscriptionChange};

/// A deployment as it stood in one revision, and whether it is paused now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub name: DeploymentName,
    /// Which revision this is.
    pub revision: Revision,
    /// The component that runs.
    pub component: ComponentDigest,
    /// The manifest, as JSON text that the domain's parser has accepted.
    pub manifest: Arc<str>,
    /// Set while nothing new is admitted.
    pub paused: Option<Pause>,
    /// When the first revision was made.
    pub created_at: Timestamp,
    /// When this revision was made.
    pub updated_at: Timestamp,
}

/// Why nothing new is admitted or fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// What whoever paused it wrote; at most 1 KiB.
    pub note: String,
}

/// A change of a deployment: makes a revision, and brings its schedules in line.
#[derive(Debug, Clone)]
pub struct PutDeployment {
    /// The deployment.
    pub name: DeploymentName,
    /// Refuse unless this is the present revision; `Some(None)` means that there must be none yet.
    pub expected: Option<Option<Revision>>,
    /// The component to run.
    pub component: ComponentDigest,
    /// The manifest as JSON text.
    pub manifest: Arc<str>,
    /// Every schedule of the manifest; those that are not named are removed, with what they count.
    pub schedules: Vec<ScheduleChange>,
    /// Every subscription of the manifest; those that are not named are removed, with where they stood.
    pub subscriptions: Vec<SubscriptionChange>,
    /// The time of the change.
    pub now: Timestamp,
}
