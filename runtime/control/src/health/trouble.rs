//! What the health of deployments tells the repairs.

use tidemill_core::healing::EvidenceFigure;
use tidemill_core::health::{HealthStatus, SignalKind};
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::HealthyRevisions;

use crate::health::HealthMonitor;

/// A deployment is unhealthy together with others if it became so within this time, in
/// milliseconds.
const TOGETHER_MILLIS: u64 = 60_000;

/// What is known of a deployment that may need a repair.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentTrouble {
    pub(crate) status: HealthStatus,
    pub(crate) since: Option<Timestamp>,
    pub(crate) reason: Option<String>,
    /// When the last observation was that showed something, and whether it failed.
    pub(crate) shown: Option<(Timestamp, bool)>,
    /// When the failures began.
    pub(crate) began_at: Option<Timestamp>,
    pub(crate) healthy: Option<HealthyRevisions>,
    /// The code of the last check, if it failed.
    pub(crate) check_code: Option<String>,
    /// The signals that are abnormal.
    pub(crate) figures: Vec<EvidenceFigure>,
    /// What the last check logged.
    pub(crate) lines: Vec<String>,
}

/// How many deployments are unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TroubleShare {
    /// Those that became so within the last minute.
    pub(crate) recent: usize,
    pub(crate) unhealthy: usize,
    pub(crate) all: usize,
}

impl HealthMonitor {
    /// Returns the deployments that are degraded or unhealthy.
    pub(crate) fn troubled(&self) -> Vec<DeploymentName> {
        self.observed().troubled.iter().cloned().collect()
    }

    /// Returns what is known of a deployment.
    pub(crate) fn trouble_of(&self, name: &DeploymentName) -> Option<DeploymentTrouble> {
        let all = self.observed();
        let observed = all.all.get(name)?;
        let last = observed.results.back();
        let abnormal = observed.signals.iter().filter(|signal| signal.problem.is_some());
        Some(DeploymentTrouble {
            status: observed.state.status,
            since: observed.state.since,
            reason: observed.state.reason.clone(),
            shown: observed.shown,
            began_at: observed.failing_since,
            healthy: observed.healthy,
            check_code: last.and_then(|result| result.code.clone()),
            figures: abnormal
                .map(|signal| EvidenceFigure {
                    name: SignalKind::as_str(signal.kind).to_owned(),
                    value: signal.value,
                    limit: signal.limit,
                })
                .collect(),
            lines: last.map(|it| it.lines.iter().map(|(_, line)| line.clone()).collect()).unwrap_or_default(),
        })
    }

    /// Returns how many deployments are unhealthy at `now`.
    pub(crate) fn share(&self, now: Timestamp) -> TroubleShare {
        let observed = self.observed();
        let unhealthy: Vec<_> = observed
            .troubled
            .iter()
            .filter_map(|name| observed.all.get(name))
            .filter(|it| it.state.status == HealthStatus::Unhealthy)
            .collect();
        let is_recent =
            |since: Option<Timestamp>| since.is_some_and(|since| now.millis_since(since) <= TOGETHER_MILLIS);
        TroubleShare {
            recent: unhealthy.iter().filter(|it| is_recent(it.state.since)).count(),
            unhealthy: unhealthy.len(),
            all: observed.all.len(),
        }
    }
}
