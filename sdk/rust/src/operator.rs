//! Actions on other deployments, for runbooks: workflows that repair something, after an incident
//! or on request.
//!
//! The deployment needs a grant that names the actions and the deployments:
//!
//! ```toml
//! [grants]
//! operator = { actions = ["pause", "resume"], deployments = ["shop"] }
//! ```
//!
//! An action takes effect at once, also inside a step, and exactly once: a replay returns the
//! recorded answer. It never overrides a person. If a person has paused the deployment or forced
//! its circuit breaker, every action fails with `host/operator-refused`. A run may end the pause of
//! another run.
//!
//! ```no_run
//! use std::time::Duration;
//! use tidemill_sdk::operator::{self, HealthStatus};
//! use tidemill_sdk::{Result, sleep};
//!
//! #[tidemill_sdk::workflow]
//! fn rest(deployment: String) -> Result<u32> {
//!     operator::pause(&deployment, "its upstream needs a rest")?;
//!     sleep(Duration::from_secs(60))?;
//!     operator::resume(&deployment, "the rest is over")?;
//!     if operator::health(&deployment)?.status == HealthStatus::Unhealthy {
//!         operator::rollback(&deployment, "the rest did not help")?;
//!     }
//!     operator::retry_parked(&deployment, 100, "the trouble is over")
//! }
//! # fn main() {}
//! ```

use crate::host::operator as host;
use crate::{Error, Result, Timestamp};

/// The health of another deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentHealth {
    /// The status.
    pub status: HealthStatus,
    /// When the status last changed.
    pub since: Option<Timestamp>,
    /// Why the deployment is degraded or unhealthy.
    pub reason: Option<String>,
    /// Whether the deployment is paused, by a run or by a person.
    pub paused: bool,
}

/// The status of a deployment. Later releases may add statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// Nothing is known about it.
    #[default]
    Unknown,
    /// It works.
    Healthy,
    /// It works, but something is wrong.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthStatus {
    /// Returns its name, as in the host's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    fn from_host(text: &str) -> Self {
        let known = [Self::Healthy, Self::Degraded, Self::Unhealthy];
        known.into_iter().find(|status| status.as_str() == text).unwrap_or_default()
    }
}

/// Returns the present health of a deployment. Any action that is granted for it suffices.
///
/// # Errors
/// `host/not-granted` without the grant, `host/deployment-not-found`, `host/bad-argument` for an
/// invalid name.
pub fn health(deployment: &str) -> Result<DeploymentHealth> {
    let host::DeploymentHealth { status, since, reason, paused } =
        host::health(deployment).map_err(Error::from_failure)?;
    let (status, since) = (HealthStatus::from_host(&status), since.map(Timestamp::from_millis));
    Ok(DeploymentHealth { status, since, reason, paused })
}

/// Pauses a deployment: its requests and firings wait. `note` is the reason that operators see. The
/// pause of another run gets this note.
///
/// # Errors
/// `host/not-granted` without the grant, `host/deployment-not-found`, `host/operator-refused` if a
/// person decides about the deployment, `host/bad-argument` if the name is not valid or the note
/// does not have 1 to 1,024 bytes, `host/claim-in-step` after a claim in the same step.
pub fn pause(deployment: &str, note: &str) -> Result<()> {
    host::pause(deployment, note).map_err(Error::from_failure)
}

/// Resumes a deployment that a run has paused. Nothing happens if it is not paused.
///
/// # Errors
/// As [`pause`].
pub fn resume(deployment: &str, note: &str) -> Result<()> {
    host::resume(deployment, note).map_err(Error::from_failure)
}

/// Returns a deployment to the revision before the present one, as a new revision, and returns the
/// number of that. In each attempt of a step, the same call is one rollback.
///
/// # Errors
/// As [`pause`], `host/revision-not-found` if there is no such revision, and the reasons why the
/// revision cannot be deployed now.
pub fn rollback(deployment: &str, note: &str) -> Result<u64> {
    host::rollback(deployment, None, note).map_err(Error::from_failure)
}

/// Returns a deployment to a revision, as a new revision, and returns the number of that. If the
/// present revision has the same content, that one is returned and nothing changes.
///
/// # Errors
/// As [`rollback`].
pub fn rollback_to(deployment: &str, revision: u64, note: &str) -> Result<u64> {
    host::rollback(deployment, Some(revision), note).map_err(Error::from_failure)
}

/// Retries at most `limit` parked runs of a deployment, the newest first, and returns how many. In
/// each attempt of a step, the same call retries once.
///
/// # Errors
/// As [`pause`], and `host/bad-argument` if `limit` is not 1 to 100.
pub fn retry_parked(deployment: &str, limit: u32, note: &str) -> Result<u32> {
    host::retry_parked(deployment, limit, note).map_err(Error::from_failure)
}

/// Drops what the host has in memory for a deployment: the instances of waiting runs, which
/// continue from their journals, and the compiled code of its component.
///
/// # Errors
/// As [`pause`].
pub fn recycle(deployment: &str, note: &str) -> Result<()> {
    host::recycle(deployment, note).map_err(Error::from_failure)
}
