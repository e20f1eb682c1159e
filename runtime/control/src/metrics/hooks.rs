//! Metrics of hooks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tidemill_core::{DeploymentName, HookName};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    deployment: String,
    hook: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BacklogLabels {
    deployment: String,
}

/// How a request to a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookResult {
    /// Its delivery is stored and makes a run.
    Stored,
    /// Its delivery is stored and makes no run.
    NotRun,
    /// It was received before.
    Duplicate,
    /// It was the handshake of a provider.
    Handshake,
    /// It was not verified.
    Unverified,
    /// It was verified and refused.
    Refused,
    /// Another body came under the id of a known transmission.
    Forged,
    /// The host could not receive it.
    Unavailable,
}

impl HookResult {
    const ALL: [Self; 8] = [
        Self::Stored,
        Self::NotRun,
        Self::Duplicate,
        Self::Handshake,
        Self::Unverified,
        Self::Refused,
        Self::Forged,
        Self::Unavailable,
    ];

    /// Its name in metrics and in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::NotRun => "not-run",
            Self::Duplicate => "duplicate",
            Self::Handshake => "handshake",
            Self::Unverified => "unverified",
            Self::Refused => "refused",
            Self::Forged => "forged",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The metric families of hooks.
#[derive(Debug, Default)]
pub(crate) struct HookMetrics {
    requests: Family<HookLabels, Counter>,
    backlog: Family<BacklogLabels, Gauge>,
}

impl HookMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("hook_requests", "Requests to hooks, by result", Family::clone(&self.requests));
        registry.register("delivery_backlog", "Deliveries that wait for their run", Family::clone(&self.backlog));
    }

    /// Counts a request.
    pub(crate) fn count(&self, deployment: &DeploymentName, hook: &HookName, result: HookResult) {
        self.requests.get_or_create(&labels(deployment, hook, result)).inc();
    }

    /// Returns the numbers of requests since the start, by result.
    pub(crate) fn counts(&self, deployment: &DeploymentName, hook: &HookName) -> Vec<(&'static str, u64)> {
        let counted = HookResult::ALL.into_iter().filter_map(|result| {
            let count = self.requests.get(&labels(deployment, hook, result))?.get();
            Some((result.as_str(), count))
        });
        counted.collect()
    }

    /// Sets the number of waiting deliveries of each deployment. The others have none.
    pub(crate) fn set_backlogs(&self, backlogs: &[(DeploymentName, u64)]) {
        self.backlog.clear();
        for (deployment, waiting) in backlogs {
            let of = BacklogLabels { deployment: deployment.to_string() };
            self.backlog.get_or_create(&of).set(i64::try_from(*waiting).unwrap_or(i64::MAX));
        }
    }

    /// Removes the series of a hook that does not exist any more.
    pub(crate) fn forget(&self, deployment: &DeploymentName, hook: &HookName) {
        for result in HookResult::ALL {
            self.requests.remove(&labels(deployment, hook, result));
        }
    }
}

fn labels(deployment: &DeploymentName, hook: &HookName, result: HookResult) -> HookLabels {
    HookLabels { deployment: deployment.to_string(), hook: hook.to_string(), result: result.as_str() }
}
