//! How many requests may be under way at once: for one deployment, and to one host. What is beyond waits its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Gates by name; one is forgotten when nobody is in it or before it.
#[derive(Debug)]
pub(super) struct NamedLimits {
    width: usize,
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub(super) struct LimitPermit {
    _permit: Option<OwnedSemaphorePermit>,
    _gate: Arc<Semaphore>,
}

impl NamedLimits {
    /// Gates that let `width` through at once.
    pub fn new(width: usize) -> Self {
        Self { width, gates: Mutex::default() }
    }

    /// Waits for a place in the gate of that name.
    pub async fn pass(&self, name: &str) -> LimitPermit {
        let gate = self.gate(name);
        // A gate is never closed, so this is always a place.
        LimitPermit { _permit: Arc::clone(&gate).acquire_owned().await.ok(), _gate: gate }
    }

    fn gate(&self, name: &str) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(name).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Semaphore::new(self.width));
        gates.insert(name.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

/// The requests to one host, of all deployments: each has a share of its own, which no other can take, and beyond it takes
/// its turn with the others in what is for all.
#[derive(Debug)]
pub(super) struct HostLimits {
    shares: NamedLimits,
    common: NamedLimits,
}

impl HostLimits {
    /// So many requests to one host for each deployment, and so many more for all together.
    pub fn new(share: usize, common: usize) -> Self {
        Self { shares: NamedLimits::new(share), common: NamedLimits::new(common) }
    }

    /// Waits for a place of a deployment's requests to a host.
    pub async fn pass(&self, deployment: &str, host: &str) -> LimitPermit {
        // No name of a deployment has a blank.
        let share = format!("{deployment} {host}");
        tokio::select! {
            biased;
            pass = self.shares.pass(&share) => pass,
            pass = self.common.pass(host) => pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_deployment_has_its_share_of_a_host_whatever_others_do() {
        let gates = HostLimits::new(2, 3);
        let now = |deployment: &str, host: &str| gates.pass(deployment, host).now_or_never();
        let mut loud: Vec<_> = (0..5).map(|_| now("loud", "x").unwrap()).collect();
        assert!(now("loud", "x").is_none());
        let quiet = [now("quiet", "x").unwrap(), now("quiet", "x").unwrap()];
        assert!(now("quiet", "x").is_none());
        assert!(now("loud", "y").is_some());
        // The last of the loud one's was of what is for all.
        loud.pop();
        assert!(now("quiet", "x").is_some());
        drop(quiet);
    }

    #[tokio::test]
    async fn who_waits_takes_the_first_place_that_is_free() {
        let gates = HostLimits::new(1, 1);
        let (own, common) = (gates.pass("a", "x").await, gates.pass("a", "x").await);
        let mut waits = std::pin::pin!(gates.pass("a", "x"));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(own);
        assert!(waits.now_or_never().is_some());
        drop(common);
    }
}
