//! A deployment as it is sent, and what a change of one answers.

use serde::Serialize;
use tidemill_control::{DeployResult, Preview};
use tidemill_core::ComponentDigest;
use tidemill_core::manifest::ManifestChange;
use tidemill_core::schedule::ScheduleEnd;
use tidemill_store::records::Deployment;
use utoipa::ToSchema;

use crate::schedules::preview::PlannedJson;
use crate::wire::{PauseJson, StoredJson, TimeJson, stored_json};

/// What makes a module run, in one revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployment)]
pub struct DeploymentJson<'a> {
    /// Its name.
    name: &'a str,
    /// Which revision this is; counts from 1.
    revision: u64,
    /// The component that runs.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// There while nothing new is admitted or fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// When the first revision was made.
    created_at: TimeJson,
    /// When this revision was made.
    updated_at: TimeJson,
    /// The manifest, whole, with every default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    manifest: Option<StoredJson<'a>>,
}

impl<'a> DeploymentJson<'a> {
    /// All of it.
    #[must_use]
    pub fn of(deployment: &'a Deployment) -> Self {
        Self { manifest: Some(stored_json(deployment.manifest.as_bytes())), ..Self::brief(deployment) }
    }

    /// Without the manifest, as lists have it.
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

/// What a change of a deployment did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployed)]
pub struct DeployResultJson<'a> {
    /// The deployment as it is now, or would be.
    deployment: DeploymentJson<'a>,
    /// Whether it is new.
    created: bool,
    /// Whether nothing was changed, because it was only asked what would be.
    dry_run: bool,
    /// Every field that changed; empty where the manifest is that of the present revision.
    changes: Vec<ChangeJson<'a>>,
    /// What its author should know.
    warnings: &'a [String],
    /// When each schedule fires next.
    schedules: Vec<NextFirings<'a>>,
}

/// One field of a manifest that changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeJson<'a> {
    /// Its JSON pointer.
    pointer: &'a str,
    /// What it was; left out where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a serde_json::Value>,
    /// What it is; left out where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a serde_json::Value>,
}

/// When a schedule fires next.
#[derive(Debug, Serialize, ToSchema)]
pub struct NextFirings<'a> {
    /// The schedule.
    name: &'a str,
    /// Its time zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: &'a str,
    /// Its next 20 firings, as far as its limit lets them come, and what daylight saving drops among them.
    firings: Vec<PlannedJson>,
    /// Why nothing comes after them: `limit`, which is reached, or `times`, of which there are no more. Left out where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<&'static str>,
}

impl<'a> DeployResultJson<'a> {
    /// The answer to a change.
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
