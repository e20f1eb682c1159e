//! The wire form of a deployment, and the answer to a change.

use std::borrow::Cow;

use tidemill_api_types as shapes;
use tidemill_control::{DeployResult, Preview};
use tidemill_core::manifest::ManifestChange;
use tidemill_store::records::Deployment;

use crate::wire::FromRecord;

/// The record without its manifest.
impl<'a> FromRecord<&'a Deployment> for shapes::Deployment<'a> {
    fn of(deployment: &'a Deployment) -> Self {
        Self {
            name: deployment.name.as_str().into(),
            revision: deployment.revision.get(),
            component: deployment.component,
            paused: deployment.paused.as_ref().map(shapes::Pause::of),
            created_at: deployment.created_at.into(),
            updated_at: deployment.updated_at.into(),
            manifest: None,
        }
    }
}

/// Returns the shape of a deployment with its manifest.
#[must_use]
pub fn with_manifest(deployment: &Deployment) -> shapes::Deployment<'_> {
    let manifest = shapes::StoredJson::of(deployment.manifest.as_bytes());
    shapes::Deployment { manifest: Some(manifest), ..shapes::Deployment::of(deployment) }
}

/// The result of a change, or of a dry run.
impl<'a> FromRecord<(&'a DeployResult, bool)> for shapes::DeployResult<'a> {
    fn of((deployed, dry_run): (&'a DeployResult, bool)) -> Self {
        let change = |change: &'a ManifestChange| shapes::ManifestChange {
            pointer: (&change.pointer).into(),
            from: change.from.as_ref().map(Cow::Borrowed),
            to: change.to.as_ref().map(Cow::Borrowed),
        };
        let firings = |preview: &'a Preview| shapes::NextFirings {
            name: preview.name.as_str().into(),
            time_zone: (&preview.time_zone).into(),
            firings: preview.ahead.firings.iter().cloned().map(shapes::UpcomingFiring::of).collect(),
            ends: preview.ahead.ends.map(|ends| ends.as_str().into()),
        };
        Self {
            deployment: with_manifest(&deployed.deployment),
            created: deployed.created,
            dry_run,
            changes: deployed.changes.iter().map(change).collect(),
            warnings: (&deployed.warnings).into(),
            schedules: deployed.previews.iter().map(firings).collect(),
        }
    }
}
