//! The wire form of a deployment, and the answer to a change.

use serde::Serialize;
use tidemill_control::{DeployResult, Preview};
use tidemill_core::ComponentDigest;
use tidemill_core::manifest::ManifestChange;
use tidemill_core::schedule::ScheduleEnd;
use tidemill_store::records::Deployment;
use utoipa::ToSchema;

use crate::schedules::preview::PlannedJson;
use crate::wire::{PauseJson, StoredJson, TimeJson, stored_json};

/// One revision of a deployment: a component and its manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployment)]
pub struct DeploymentJson<'a> {
    /// The name of the deployment.
    name: &'a str,
    /// The number of the revision, from 1.
    revision: u64,
    /// The component that the deployment runs.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// Present while the deployment admits and fires nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// When the first revision was created.
    created_at: TimeJson,
    /// When this revision was created.
    updated_at: TimeJson,
    /// The whole manifest, with every default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    manifest: Option<StoredJson<'a>>,
}

impl<'a> DeploymentJson<'a> {
    /// Builds the wire form with the manifest.
    #[must_use]
    pub fn of(deployment: &'a Deployment) -> Self {
        Self { manifest: Some(stored_json(deployment.manifest.as_bytes())), ..Self::brief(deployment) }
    }

    /// Builds the wire form without the manifest, for lists.
    #[must_use]
    pub fn brief(deployment: &'a Deployment) -> Self {
        Self {
            name: deployment.name.as_str(),
            revision: deployment.revision.get(),
            component: deployment.component,
            paused: deployment.paused.as_ref().map(PauseJson::from),
            created_at: deployment.created_at.into(),
            updated_at: deployment.updated_at.into(),
            manifest: None,
        }
    }
}

/// The result of a change, or the plan of a dry run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployed)]
pub struct DeployResultJson<'a> {
    /// The deployment after the change.
    deployment: DeploymentJson<'a>,
    /// Whether the deployment is new.
    created: bool,
    /// True for a dry run, which changes nothing.
    dry_run: bool,
    /// Every field that changed; empty if the manifest equals that of the current revision.
    changes: Vec<ChangeJson<'a>>,
    /// Warnings for the author.
    warnings: &'a [String],
    /// The next firings of each schedule.
    schedules: Vec<NextFirings<'a>>,
}

/// A field of a manifest that changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeJson<'a> {
    /// The JSON pointer of the field.
    pointer: &'a str,
    /// The old value; left out if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a serde_json::Value>,
    /// The new value; left out if the field was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a serde_json::Value>,
}

/// The next firings of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct NextFirings<'a> {
    /// The name of the schedule.
    name: &'a str,
    /// The time zone of the schedule.
    #[schema(example = "Europe/Berlin")]
    time_zone: &'a str,
    /// The next 20 firings, within the schedule's limit, including those that daylight saving
    /// drops.
    firings: Vec<PlannedJson>,
    /// Why no firing follows: `limit` if the limit is reached, or `times` if there are no more
    /// times. Left out if a firing follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<&'static str>,
}

impl<'a> DeployResultJson<'a> {
    /// Builds the answer to a change.
    #[must_use]
    pub fn of(deployed: &'a DeployResult, dry_run: bool) -> Self {
        let change = |change: &'a ManifestChange| ChangeJson {
            pointer: &change.pointer,
            from: change.from.as_ref(),
            to: change.to.as_ref(),
        };
        let firings = |preview: &'a Preview| NextFirings {
            name: preview.name.as_str(),
            time_zone: &preview.time_zone,
            firings: preview.ahead.firings.iter().cloned().map(PlannedJson::from).collect(),
            ends: preview.ahead.ends.map(ScheduleEnd::as_str),
        };
        Self {
            deployment: DeploymentJson::of(&deployed.deployment),
            created: deployed.created,
            dry_run,
            changes: deployed.changes.iter().map(change).collect(),
            warnings: &deployed.warnings,
            schedules: deployed.previews.iter().map(firings).collect(),
        }
    }
}
