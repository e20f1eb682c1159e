//! The runs that this node executes and that the store knows of: how to reach one that goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_core::{DeploymentName, RunId};
use tidemill_engine::CancelToken;

/// One that goes on.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) deployment: DeploymentName,
    pub(crate) cancel: CancelToken,
    /// Set when a person cancelled it, as opposed to the host giving it up.
    pub(crate) told: std::sync::atomic::AtomicBool,
}

impl Handle {
    pub(crate) fn new(deployment: DeploymentName) -> Arc<Self> {
        Arc::new(Self { deployment, cancel: CancelToken::new(), told: false.into() })
    }

    /// Tells it once and gives it its grace period; the second time ends it.
    pub(crate) fn cancel(&self) {
        if self.told.swap(true, std::sync::atomic::Ordering::AcqRel) {
            self.cancel.terminate();
        } else {
            self.cancel.cancel();
        }
    }

    pub(crate) fn was_told(&self) -> bool {
        self.told.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Going(Mutex<HashMap<RunId, Arc<Handle>>>);

impl Going {
    fn map(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Handle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, id: RunId, handle: Arc<Handle>) {
        self.map().insert(id, handle);
    }

    pub(crate) fn remove(&self, id: RunId) {
        self.map().remove(&id);
    }

    pub(crate) fn get(&self, id: RunId) -> Option<Arc<Handle>> {
        self.map().get(&id).cloned()
    }

    /// Those of one deployment.
    pub(crate) fn of(&self, deployment: &DeploymentName) -> Vec<Arc<Handle>> {
        self.map().values().filter(|handle| handle.deployment == *deployment).cloned().collect()
    }
}
