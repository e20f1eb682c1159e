//! Limits concurrent requests: of one deployment, and to one host. Further requests wait.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores by name. A semaphore is dropped once no request holds or awaits it.
#[derive(Debug)]
pub(super) struct NamedLimits {
    width: usize,
    semaphores: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A permit that is released when it is dropped.
#[derive(Debug)]
pub(super) struct LimitPermit {
    _permit: Option<OwnedSemaphorePermit>,
    _semaphore: Arc<Semaphore>,
}

impl NamedLimits {
    /// Returns limits of `width` permits for each name.
    pub fn new(width: usize) -> Self {
        Self { width, semaphores: Mutex::default() }
    }

    /// Waits for a permit of the semaphore with that name.
    pub async fn pass(&self, name: &str) -> LimitPermit {
        let semaphore = self.semaphore(name);
        // A semaphore is never closed, so this is always a permit.
        LimitPermit { _permit: Arc::clone(&semaphore).acquire_owned().await.ok(), _semaphore: semaphore }
    }

    fn semaphore(&self, name: &str) -> Arc<Semaphore> {
        let mut semaphores = self.semaphores.lock();
        if let Some(semaphore) = semaphores.get(name).and_then(Weak::upgrade) {
            return semaphore;
        }
        semaphores.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.width));
        semaphores.insert(name.to_owned(), Arc::downgrade(&semaphore));
        semaphore
    }
}

/// Limits of the requests to one host, for all deployments: each has its own share, which no other
/// can use. Beyond its share it competes for the common permits.
#[derive(Debug)]
pub(super) struct HostLimits {
    shares: NamedLimits,
    common: NamedLimits,
}

impl HostLimits {
    /// Returns limits of `share` requests to one host for each deployment, and of `common` further
    /// requests for all together.
    pub fn new(share: usize, common: usize) -> Self {
        Self { shares: NamedLimits::new(share), common: NamedLimits::new(common) }
    }

    /// Waits for a permit for a deployment's request to a host.
    pub async fn pass(&self, deployment: &str, host: &str) -> LimitPermit {
        // A deployment's name contains no space.
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
    fn a_deployment_always_has_its_share_of_a_host() {
        let limits = HostLimits::new(2, 3);
        let now = |deployment: &str, host: &str| limits.pass(deployment, host).now_or_never();
        let mut loud: Vec<_> = (0..5).map(|_| now("loud", "x").unwrap()).collect();
        assert!(now("loud", "x").is_none());
        let quiet = [now("quiet", "x").unwrap(), now("quiet", "x").unwrap()];
        assert!(now("quiet", "x").is_none());
        assert!(now("loud", "y").is_some());
        // The last permit of the loud deployment was a common one.
        loud.pop();
        assert!(now("quiet", "x").is_some());
        drop(quiet);
    }

    #[tokio::test]
    async fn a_waiting_request_takes_the_first_free_permit() {
        let limits = HostLimits::new(1, 1);
        let (own, common) = (limits.pass("a", "x").await, limits.pass("a", "x").await);
        let mut waits = std::pin::pin!(limits.pass("a", "x"));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(own);
        assert!(waits.now_or_never().is_some());
        drop(common);
    }
}
