//! The health of all deployments, as the host observes it.
//!
//! Each deployment is observed once in its interval: its `health` export is called, its figures
//! since the last time become signals, and both together become an assessment. A change of the
//! status is committed, and announced on the feed, before anyone can see it. The host keeps the
//! last results in memory.

mod check;
mod figures;
mod observe;
pub(crate) mod reconciler;
mod trouble;
mod view;
mod vitals;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::alerts::ServiceHistory;
use tidemill_core::breaker::BreakerPhase;
use tidemill_core::health::{HealthSignal, HealthState, HealthStatus, SignalMonitor};
use tidemill_core::{DeploymentName, Revision, Timestamp};
use tidemill_store::records::{HealthyRevisions, PageRequest};
use tidemill_store::{Store, StoreError};
use tokio::sync::{Notify, Semaphore};

use crate::deployment::active::{ActiveDeployment, DeploymentMap, DeploymentRegistry};
use crate::health::figures::FigureSnapshot;

pub use check::CheckResult;
pub(crate) use trouble::DeploymentTrouble;
pub use view::{DeploymentHealth, HealthSummary, ObjectiveStatus};
pub use vitals::Vital;
pub(crate) use vitals::VitalMonitor;

/// Number of results that are kept of each deployment.
const RESULTS: usize = 20;
/// Maximum number of checks that execute at once, so that slow checks take no threads from runs.
const CHECKS_MAX: usize = 16;

/// Interval between two records that the host runs, in milliseconds. An outage is known with this
/// precision.
const ALIVE_MILLIS: u64 = 60_000;
/// Marks that the start of the host is not recorded yet.
const NOT_RECORDED: u64 = u64::MAX;

/// The health of all deployments.
#[derive(Debug)]
pub(crate) struct HealthMonitor {
    observed: Mutex<ObservedDeployments>,
    checks: Semaphore,
    /// Notified when an observation has ended.
    ended: Notify,
    /// Wakes the loop if something must be observed before its time.
    wake: Notify,
    pub(crate) vitals: VitalMonitor,
    /// When the host started.
    started: Timestamp,
    /// When the store last recorded that the host runs, in milliseconds; or [`NOT_RECORDED`].
    alive_at: AtomicU64,
}

/// The deployments with the times at which they are observed next.
#[derive(Debug, Default)]
struct ObservedDeployments {
    all: HashMap<DeploymentName, ObservedDeployment>,
    due: BTreeSet<(Timestamp, DeploymentName)>,
    /// The registry's map as it was last read. It is another one after each change.
    seen: Option<DeploymentMap>,
    /// Deployments that are being observed.
    observing: HashSet<DeploymentName>,
    /// Deployments that are degraded or unhealthy.
    troubled: BTreeSet<DeploymentName>,
}

/// What is known of one deployment.
#[derive(Debug, Default)]
struct ObservedDeployment {
    state: HealthState,
    results: VecDeque<CheckResult>,
    signals: Vec<HealthSignal>,
    monitor: SignalMonitor,
    reading: FigureSnapshot,
    /// When it was last observed with a result that shows something, and whether it failed then.
    shown: Option<(Timestamp, bool)>,
    /// When the failures in a row began.
    failing_since: Option<Timestamp>,
    /// The number of observations in a row that found its revision healthy.
    healthy_streak: u32,
    /// The revisions that are known to have been healthy.
    healthy: Option<HealthyRevisions>,
    /// Its attempts, if it has objectives, and whether they have changed since they were stored.
    history: ServiceHistory,
    unsaved: bool,
    /// The revision and the phase of the breaker at the last observation.
    revision: Revision,
    breaker: Option<BreakerPhase>,
    next: Timestamp,
}

impl HealthMonitor {
    /// Creates the monitor of a host that starts now.
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            observed: Mutex::default(),
            checks: Semaphore::new(CHECKS_MAX),
            ended: Notify::new(),
            wake: Notify::new(),
            vitals: VitalMonitor::default(),
            started,
            alive_at: AtomicU64::new(NOT_RECORDED),
        }
    }

    /// Returns whether the store must record again that the host runs.
    pub(crate) fn is_alive_mark_due(&self, now: Timestamp) -> bool {
        let last = self.alive_at.load(Ordering::Relaxed);
        // The clock may have been set back.
        last == NOT_RECORDED || now.as_millis().abs_diff(last) >= ALIVE_MILLIS
    }

    /// Records in the store that the host runs. The first time, it also records for how long the
    /// host did not run.
    ///
    /// # Errors
    /// Errors of the store. The next call tries again.
    pub(crate) async fn mark_alive(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        if self.alive_at.load(Ordering::Relaxed) == NOT_RECORDED {
            store.record_outage(self.started).await?;
        }
        store.mark_alive(now).await?;
        self.alive_at.store(now.as_millis(), Ordering::Relaxed);
        Ok(())
    }

    /// Returns the present status of a deployment.
    pub(crate) fn status_of(&self, deployment: &DeploymentName) -> HealthStatus {
        self.observed().all.get(deployment).map(|observed| observed.state.status).unwrap_or_default()
    }

    fn observed(&self) -> MutexGuard<'_, ObservedDeployments> {
        self.observed.lock()
    }

    /// Adds the deployments of a host that starts, with the last status of each.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) async fn restore(
        &self,
        registry: &DeploymentRegistry,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let all = registry.all();
        self.observed().follow(&all, now);
        for (name, healthy) in store.healthy_revisions().await? {
            if let Some(observed) = self.observed().all.get_mut(&name) {
                observed.healthy = Some(healthy);
            }
        }
        for name in all.keys() {
            let last = store.health_transitions(name, PageRequest::first(1)).await?;
            if let Some(last) = last.items.first() {
                self.observed().set_state(name, HealthState::after(last));
            }
        }
        for (name, history) in store.service_histories().await? {
            if let Some(observed) = self.observed().all.get_mut(&name) {
                observed.history = history;
            }
        }
        Ok(())
    }

    /// Returns the deployments that are due at `now`, and plans their next observations.
    pub(crate) fn take_due(&self, registry: &DeploymentRegistry, now: Timestamp) -> Vec<Arc<ActiveDeployment>> {
        let mut observed = self.observed();
        let all = registry.all();
        if !observed.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &all)) {
            observed.follow(&all, now);
        }
        let mut due = Vec::new();
        while observed.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = observed.due.pop_first() else { break };
            let Some(live) = all.get(&name) else { continue };
            // A person has decided that it does not run, or its manifest has.
            let open = ActiveDeployment::is_open(&live.deployment, &live.plan);
            // A check may take longer than a short interval.
            if open && observed.observing.insert(name.clone()) {
                due.push(Arc::clone(live));
            }
            observed.plan(name, now.plus_millis(live.plan.health.every_millis));
        }
        due
    }

    /// Returns when the next deployment is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.observed().due.first().map(|(at, _)| *at)
    }

    /// Has the loop observe a deployment at once, because something happened to it.
    pub(crate) fn observe_soon(&self, deployment: &DeploymentName) {
        let mut observed = self.observed();
        if observed.all.contains_key(deployment) {
            observed.plan(deployment.clone(), Timestamp::default());
            self.wake.notify_one();
        }
    }

    /// Waits until something must be observed before its time.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records that an observation has ended.
    fn note_end(&self, deployment: &DeploymentName) {
        self.observed().observing.remove(deployment);
        self.ended.notify_waiters();
    }

    /// Waits until no observation is in progress. For tests.
    pub(crate) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.observed().observing.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl ObservedDeployments {
    /// Adds new deployments and forgets deleted ones. The observations of the new ones are spread
    /// over their interval.
    fn follow(&mut self, registry: &DeploymentMap, now: Timestamp) {
        let gone: Vec<_> = self.all.keys().filter(|name| !registry.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(observed) = self.all.remove(&name) {
                self.troubled.remove(&name);
                self.due.remove(&(observed.next, name));
            }
        }
        for (name, live) in &**registry {
            if !self.all.contains_key(name) {
                // The counters of a new deployment begin at zero.
                let revision = live.deployment.revision;
                self.all.insert(name.clone(), ObservedDeployment { revision, ..ObservedDeployment::default() });
                self.plan(name.clone(), now.plus_millis(offset(name, live.plan.health.every_millis)));
            } else if self.all[name].next > now.plus_millis(live.plan.health.every_millis) {
                // A new revision has a shorter interval, or the clock was set back.
                self.plan(name.clone(), now.plus_millis(live.plan.health.every_millis));
            }
        }
        self.seen = Some(Arc::clone(registry));
    }

    fn set_state(&mut self, name: &DeploymentName, state: HealthState) {
        let Some(observed) = self.all.get_mut(name) else { return };
        if matches!(state.status, HealthStatus::Degraded | HealthStatus::Unhealthy) {
            self.troubled.insert(name.clone());
        } else {
            self.troubled.remove(name);
        }
        observed.state = state;
    }

    fn plan(&mut self, name: DeploymentName, at: Timestamp) {
        let Some(observed) = self.all.get_mut(&name) else { return };
        let before = std::mem::replace(&mut observed.next, at);
        self.due.remove(&(before, name.clone()));
        self.due.insert((at, name));
    }
}

/// Returns a time within an interval, the same for the same deployment.
fn offset(name: &DeploymentName, every_millis: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() % every_millis.max(1)
}
