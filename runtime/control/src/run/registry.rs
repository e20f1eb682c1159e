//! The runs in this node's memory that the store knows, including waiting ones, and how to cancel
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::RunId;
use tidemill_engine::CancelToken;

/// A handle to a run in memory.
#[derive(Debug)]
pub(crate) struct RunHandle {
    pub(crate) cancel: CancelToken,
    /// Whether a cancellation was requested, as opposed to a shutdown of the host.
    pub(crate) notified: std::sync::atomic::AtomicBool,
}

impl RunHandle {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { cancel: CancelToken::new(), notified: false.into() })
    }

    /// Requests a run to end: within its grace period, or at once with `terminate`.
    pub(crate) fn request_stop(&self, terminate: bool) {
        self.notified.store(true, std::sync::atomic::Ordering::Release);
        if terminate {
            self.cancel.terminate();
        } else {
            self.cancel.cancel();
        }
    }

    pub(crate) fn was_notified(&self) -> bool {
        self.notified.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// The registered runs.
#[derive(Debug, Default)]
pub(crate) struct RunRegistry(Mutex<HashMap<RunId, Arc<RunHandle>>>);

impl RunRegistry {
    fn map(&self) -> MutexGuard<'_, HashMap<RunId, Arc<RunHandle>>> {
        self.0.lock()
    }

    pub(crate) fn add(&self, id: RunId, handle: Arc<RunHandle>) {
        self.map().insert(id, handle);
    }

    /// Removes a run, unless it was claimed again with another handle.
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
