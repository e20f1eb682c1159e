//! The state that all of control shares: data and the components that own it. The loops and the
//! operations import this file, and it imports none of them.

use std::sync::Arc;

use tidemill_core::Clock;
use tidemill_core::clock::Stopwatch;
use tidemill_core::ids::Owner;
use tidemill_store::Store;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::alerts::AlertMonitor;
use crate::config::HostConfig;
use crate::deployment::active::DeploymentRegistry;
use crate::deployment::changes::DeploymentChanges;
use crate::guests::GuestExecutor;
use crate::healing::HealingMonitor;
use crate::health::HealthMonitor;
use crate::hook::state::HookMonitor;
use crate::metrics::Metrics;
use crate::reconcile::scrub_status::ScrubStatus;
use crate::run::admission::Admission;
use crate::run::effects::EffectHandler;
use crate::run::local::LocalRuns;
use crate::schedule::monitor::ScheduleMonitor;
use crate::shutdown::Shutdown;
use crate::store_failures::StoreFailures;
use crate::topic::deliveries::Deliveries;

/// A running host. A clone is cheap and refers to the same host.
#[derive(Clone)]
pub struct ControlPlane(pub(crate) Arc<HostState>);

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("owner", &self.0.owner).finish_non_exhaustive()
    }
}

/// The state of a host.
pub(crate) struct HostState {
    pub(crate) config: Arc<HostConfig>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) guests: Arc<dyn GuestExecutor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) owner: Owner,
    pub(crate) deployments: Arc<DeploymentRegistry>,
    pub(crate) changes: Arc<DeploymentChanges>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) runs: Arc<LocalRuns>,
    pub(crate) effects: Arc<EffectHandler>,
    pub(crate) schedules: Arc<ScheduleMonitor>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) hooks: Arc<HookMonitor>,
    pub(crate) scrubs: Arc<ScrubStatus>,
    pub(crate) health: Arc<HealthMonitor>,
    pub(crate) healing: Arc<HealingMonitor>,
    pub(crate) alerts: Arc<AlertMonitor>,
    /// Wakes the loop that executes operations.
    pub(crate) operation_wake: Notify,
    /// Wakes the loop of findings.
    pub(crate) finding_wake: Notify,
    /// Wakes the loop that removes ended versions of secrets.
    pub(crate) secret_wake: Notify,
    /// Held while secrets are changed, in the store and then in memory.
    pub(crate) secret_changes: tokio::sync::Mutex<()>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store_failures: Arc<StoreFailures>,
    pub(crate) shutdown: Shutdown,
    pub(crate) loops: TaskTracker,
    /// Runs since the host was created.
    pub(crate) since: Stopwatch,
}
