//! Self-healing: opens incidents, takes steps of the ladder, judges them, and records all of it.
//!
//! One loop drives all incidents. It commits each decision together with its entry in the timeline,
//! and with the change of the deployment if the step makes one. What a step does in memory follows
//! the commit, and follows it again after a crash. Persons change incidents too. The loop and the
//! requests of persons take turns.

mod assess;
mod host_incident;
mod person;
pub(crate) mod reconciler;
pub(crate) mod repair;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidemill_core::healing::Incident;
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{IncidentUpdate, StandbyRoute};
use tidemill_store::{Store, StoreError};
use tokio::sync::{MutexGuard, Notify};

use crate::deployment::active::DeploymentRegistry;
use crate::metrics::Metrics;

pub use person::IncidentAction;
pub use view::IncidentDetails;

/// The incidents of the host.
#[derive(Debug, Default)]
pub(crate) struct HealingMonitor {
    /// Held while an incident changes, in the store and then in memory.
    turn: tokio::sync::Mutex<()>,
    /// The last incident of each deployment that ever had one, and of the host under `None`.
    last: Mutex<HashMap<Option<DeploymentName>, Incident>>,
    /// Read at every request, so it takes no lock.
    routes: ArcSwap<HashMap<DeploymentName, StandbyRoute>>,
    wake: Notify,
}

impl HealingMonitor {
    /// Reads the last incidents of a host that starts, and where runs go.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) async fn restore(&self, registry: &DeploymentRegistry, store: &dyn Store) -> Result<(), StoreError> {
        self.routes.store(Arc::new(store.routes().await?.into_iter().collect()));
        let scopes = registry.all().keys().cloned().map(Some).chain([None]).collect::<Vec<_>>();
        for scope in scopes {
            if let Some(last) = store.last_incident(scope.as_ref()).await? {
                self.last.lock().insert(scope, last);
            }
        }
        Ok(())
    }

    /// Has the loop look at a deployment that was observed, if there is anything to do.
    pub(crate) fn on_observation(&self, name: &DeploymentName, troubled: bool) {
        if troubled || self.open_incident(Some(name)).is_some() {
            self.wake.notify_one();
        }
    }

    /// Returns the deployment that takes the new runs of another one.
    pub(crate) fn route_of(&self, name: &DeploymentName) -> Option<DeploymentName> {
        let routes = self.routes.load();
        if routes.is_empty() { None } else { routes.get(name).map(|route| route.to.clone()) }
    }

    fn set_route(&self, name: &DeploymentName, route: Option<StandbyRoute>) {
        self.routes.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            match &route {
                Some(route) => routes.insert(name.clone(), route.clone()),
                None => routes.remove(name),
            };
            routes
        });
    }

    /// Forgets a deployment that was deleted.
    pub(crate) fn forget(&self, name: &DeploymentName) {
        self.last.lock().remove(&Some(name.clone()));
        if self.route_of(name).is_some() {
            self.set_route(name, None);
        }
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn last_incident(&self, scope: Option<&DeploymentName>) -> Option<Incident> {
        self.last.lock().get(&scope.cloned()).cloned()
    }

    /// Returns the open incident of a deployment, or of the host.
    pub(crate) fn open_incident(&self, scope: Option<&DeploymentName>) -> Option<Incident> {
        self.last_incident(scope).filter(|incident| incident.phase.is_open())
    }

    /// Returns the deployments with an open incident.
    fn with_open_incidents(&self) -> Vec<DeploymentName> {
        let last = self.last.lock();
        last.iter().filter(|(_, incident)| incident.phase.is_open()).filter_map(|(name, _)| name.clone()).collect()
    }

    /// Returns all open incidents.
    pub(crate) fn open_incidents(&self) -> Vec<Incident> {
        self.last.lock().values().filter(|incident| incident.phase.is_open()).cloned().collect()
    }

    /// Returns the number of open incidents.
    pub(crate) fn open_count(&self) -> usize {
        self.last.lock().values().filter(|incident| incident.phase.is_open()).count()
    }

    /// Keeps an incident as the store has it, and counts its end.
    fn keep(&self, incident: Incident, metrics: &Metrics) {
        let before = self.last.lock().insert(incident.deployment.clone(), incident.clone());
        let was_open = before.is_some_and(|before| before.number == incident.number && before.phase.is_open());
        if was_open && !incident.phase.is_open() {
            metrics.healing.count_end(&incident);
        }
    }

    /// Commits a change of an incident that changes nothing else.
    async fn update(
        &self,
        store: &dyn Store,
        metrics: &Metrics,
        update: IncidentUpdate,
    ) -> Result<Incident, StoreError> {
        let scope = update.incident.deployment.clone();
        match store.update_incident(update).await {
            Ok(incident) => {
                self.keep(incident.clone(), metrics);
                Ok(incident)
            }
            Err(error @ (StoreError::IncidentChanged { .. } | StoreError::NotFound { .. })) => {
                self.reload(store, scope).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads an incident again that has changed without the turn, as by the deletion of its
    /// deployment.
    async fn reload(&self, store: &dyn Store, scope: Option<DeploymentName>) -> Result<(), StoreError> {
        let last = store.last_incident(scope.as_ref()).await?;
        match last {
            Some(incident) => self.last.lock().insert(scope, incident),
            None => self.last.lock().remove(&scope),
        };
        Ok(())
    }

    /// Wakes the loop.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// Returns the earlier of two times at which something is due.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
