//! How many requests may be under way at once: for one deployment, and to one host. What is beyond waits its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Gates by name; one is forgotten when nobody is in it or before it.
#[derive(Debug)]
pub(super) struct Gates {
    width: usize,
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    _permit: Option<OwnedSemaphorePermit>,
    _gate: Arc<Semaphore>,
}

impl Gates {
    /// Gates that let `width` through at once.
    pub fn new(width: usize) -> Self {
        Self { width, gates: Mutex::default() }
    }

    /// Waits for a place in the gate of that name.
    pub async fn pass(&self, name: &str) -> Pass {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            match gates.get(name).and_then(Weak::upgrade) {
                Some(gate) => gate,
                None => {
                    gates.retain(|_, gate| gate.strong_count() > 0);
                    let gate = Arc::new(Semaphore::new(self.width));
                    gates.insert(name.to_owned(), Arc::downgrade(&gate));
                    gate
                }
            }
        };
        // A gate is never closed, so this is always a place.
        Pass { _permit: Arc::clone(&gate).acquire_owned().await.ok(), _gate: gate }
    }
}
