//! The wire form of a deployment, and the answer to a change.

use std::borrow::Cow;

use tidemill_api_types as shapes;
use tidemill_control::{BreakerReport, DeployResult, Preview};
use tidemill_core::DeploymentName;
use tidemill_core::manifest::ManifestChange;
use tidemill_store::records::Deployment;

use crate::state::ApiState;
use crate::wire::FromRecord;

/// The record without its manifest.
impl<'a> FromRecord<&'a Deployment> for shapes::Deployment<'a> {
    fn of(deployment: &'a Deployment) -> Self {
        Self {
            name: deployment.name.as_str().into(),
            revision: deployment.revision.get(),
            component: deployment.component,
            paused: deployment.paused.as_ref().map(shapes::Pause::of),
            breaker: None,
            created_at: deployment.created_at.into(),
            updated_at: deployment.updated_at.into(),
            manifest: None,
        }
    }
}

/// Returns the shape of a breaker.
#[must_use]
pub fn breaker_of(report: &BreakerReport) -> shapes::Breaker<'static> {
    let BreakerReport { mode, since, until, reason, counts, decision, .. } = report;
    let decision = decision.as_ref().map(|decision| shapes::BreakerDecision {
        mode: decision.mode.as_str().into(),
        since: decision.since.into(),
        note: decision.note.clone().into(),
    });
    shapes::Breaker {
        state: report.state().into(),
        mode: mode.as_str().into(),
        since: (*since).into(),
        until: until.map(Into::into),
        reason: reason.clone().into(),
        attempts: counts.calls,
        failed: counts.failed,
        slow: counts.slow,
        decision,
    }
}

/// Returns the shape of a deployment's present revision, with the state of its breaker. It has none
/// while the deployment is being created or deleted.
#[must_use]
pub fn with_breaker<'a>(
    state: &ApiState,
    shape: shapes::Deployment<'a>,
    name: &DeploymentName,
) -> shapes::Deployment<'a> {
    let breaker = state.host.breaker(name).ok();
    shapes::Deployment { breaker: breaker.as_ref().map(breaker_of), ..shape }
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
