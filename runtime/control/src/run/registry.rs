//! The runs that this node has in memory and that the store knows of, waiting ones included: how to reach one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_core::RunId;
use tidemill_engine::CancelToken;

/// One that goes on.
#[derive(Debug)]
pub(crate) struct RunHandle {
    pub(crate) cancel: CancelToken,
    /// Set when a person cancelled it, as opposed to the host giving it up.
    pub(crate) told: std::sync::atomic::AtomicBool,
}

impl RunHandle {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { cancel: CancelToken::new(), told: false.into() })
    }

    /// Tells it, which gives it its grace period; or ends it at once.
    pub(crate) fn request_stop(&self, terminate: bool) {
        self.told.store(true, std::sync::atomic::Ordering::Release);
        if terminate {
            self.cancel.terminate();
        } else {
            self.cancel.cancel();
        }
    }

    pub(crate) fn was_notified(&self) -> bool {
        self.told.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct RunRegistry(Mutex<HashMap<RunId, Arc<RunHandle>>>);

impl RunRegistry {
    fn map(&self) -> MutexGuard<'_, HashMap<RunId, Arc<RunHandle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, id: RunId, handle: Arc<RunHandle>) {
        self.map().insert(id, handle);
    }

    /// Forgets a run, unless somebody else has taken it in hand meanwhile.
    pub(crate) fn remove(&self, id: RunId, handle: &Arc<RunHandle>) {
        let mut map = self.map();
        if map.get(&id).is_some_and(|present| Arc::ptr_eq(present, handle)) {
            map.remove(&id);
        }
    }

    pub(crate) fn get(&self, id: RunId) -> Option<Arc<RunHandle>> {
        self.map().get(&id).cloned()
    }
}
