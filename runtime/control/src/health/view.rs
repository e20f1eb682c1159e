//! The health of deployments, as operators see it.

use tidemill_core::alerts::error_budget_left;
use tidemill_core::health::{HealthSignal, HealthState, HealthStatus, HealthTransition, Uptime, uptime};
use tidemill_core::manifest::ServiceObjective;
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{Page, PageRequest};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::health::{CheckResult, ObservedDeployment, Vital};
use crate::state::ControlPlane;

/// The periods of an uptime, in milliseconds: one hour, one day and 30 days.
const PERIODS_MILLIS: [u64; 3] = [3_600_000, 24 * 3_600_000, 30 * 24 * 3_600_000];
/// Maximum number of changes that an uptime is computed from. The store keeps no more.
const TRANSITIONS_MAX: usize = 1_000;

/// The health of one deployment, for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSummary {
    /// The deployment.
    pub deployment: DeploymentName,
    /// Its status.
    pub state: HealthState,
    /// Whether it is observed. A paused or disabled deployment keeps its last status.
    pub observed: bool,
}

/// An objective of a deployment, and how much of its error budget is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectiveStatus {
    /// The objective.
    pub objective: ServiceObjective,
    /// The share of the error budget of the last 30 days that is left, below 0 if more was used;
    /// `None` without attempts.
    pub budget_left: Option<f64>,
}

/// The health of one deployment with everything that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentHealth {
    /// The deployment and its status.
    pub summary: HealthSummary,
    /// Whether its `health` export is called.
    pub checked: bool,
    /// Interval between two observations, in milliseconds.
    pub every_millis: u64,
    /// When it is observed next.
    pub next: Option<Timestamp>,
    /// The last results of its `health` export, the newest first.
    pub results: Vec<CheckResult>,
    /// The signals with their values at the last observation.
    pub signals: Vec<HealthSignal>,
    /// The uptime over the last hour, day and 30 days.
    pub uptimes: [Uptime; 3],
    /// Its objectives.
    pub objectives: Vec<ObjectiveStatus>,
}

fn objectives(live: &ActiveDeployment, observed: Option<&ObservedDeployment>, now: Timestamp) -> Vec<ObjectiveStatus> {
    let status = |objective| {
        let budget_left = observed.and_then(|observed| error_budget_left(&observed.history, &objective, now));
        ObjectiveStatus { objective, budget_left }
    };
    live.plan.slo.objectives().map(status).collect()
}

impl ControlPlane {
    /// Returns the health of the deployments with a status, or of all, sorted by name.
    #[must_use]
    pub fn health_of_deployments(&self, status: Option<HealthStatus>, page: &PageRequest) -> Page<HealthSummary> {
        let all = self.0.deployments.all();
        let after =
            |name: &DeploymentName| page.cursor.as_ref().is_none_or(|last| name.as_str().as_bytes() > &last[..]);
        let mut names: Vec<_> = all.keys().filter(|name| after(name)).collect();
        names.sort_unstable();
        let mut items = names.into_iter().map(|name| self.health_summary(&all[name]));
        let mut wanted = items.by_ref().filter(|it| status.is_none_or(|status| status == it.state.status));
        let items: Vec<_> = wanted.by_ref().take(page.limit).collect();
        let next = wanted.next().and_then(|_| items.last()).map(|last| last.deployment.as_str().as_bytes().to_vec());
        Page { items, next }
    }

    /// Returns the health of one deployment.
    pub(crate) fn health_summary(&self, live: &ActiveDeployment) -> HealthSummary {
        let observed = self.0.health.observed();
        let state = observed.all.get(&live.deployment.name).map(|observed| observed.state.clone());
        HealthSummary {
            deployment: live.deployment.name.clone(),
            state: state.unwrap_or_default(),
            observed: ActiveDeployment::is_open(&live.deployment, &live.plan),
        }
    }

    /// Returns the health of a deployment with everything that is known about it.
    ///
    /// # Errors
    /// `host/deployment-not-found`; errors of the store.
    pub async fn health_of(&self, name: &DeploymentName) -> Result<DeploymentHealth, ControlError> {
        let live = self.0.deployments.require(name)?;
        let now = self.0.clock.now();
        let changes = self.0.store.health_transitions(name, PageRequest::first(TRANSITIONS_MAX)).await?;
        let outages = self.0.store.outages().await?;
        let uptimes = PERIODS_MILLIS.map(|period| {
            let from = Timestamp::from_millis(now.as_millis().saturating_sub(period));
            uptime(&changes.items, &outages, from, now)
        });
        let summary = self.health_summary(&live);
        let all = self.0.health.observed();
        let observed = all.all.get(name);
        Ok(DeploymentHealth {
            checked: live.plan.checks_health(),
            every_millis: live.plan.health.every_millis,
            next: observed.filter(|_| summary.observed).map(|observed| observed.next),
            results: observed.map(|observed| observed.results.iter().rev().cloned().collect()).unwrap_or_default(),
            signals: observed.map(|observed| observed.signals.clone()).unwrap_or_default(),
            objectives: objectives(&live, observed, now),
            summary,
            uptimes,
        })
    }

    /// Returns the vitals of the host at the last reading.
    #[must_use]
    pub fn vitals(&self) -> Vec<Vital> {
        self.0.health.vitals.last()
    }

    /// Returns the changes of a deployment's health, the newest first.
    ///
    /// # Errors
    /// `host/deployment-not-found`; errors of the store.
    pub async fn health_transitions(
        &self,
        name: &DeploymentName,
        page: PageRequest,
    ) -> Result<Page<HealthTransition>, ControlError> {
        self.0.deployments.require(name)?;
        Ok(self.0.store.health_transitions(name, page).await?)
    }

    /// Waits until no deployment is being observed. For tests.
    #[doc(hidden)]
    pub async fn health_idle(&self) {
        self.0.health.idle().await;
    }
}
