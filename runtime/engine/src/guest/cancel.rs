//! Cancels a guest: first by request, then at once.

use std::sync::Arc;

use tokio::sync::watch;

/// The urgency of a cancellation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// No cancellation was requested.
    #[default]
    None,
    /// The next call that can fail returns the notice; the guest then has its grace period to clean
    /// up.
    Requested,
    /// The guest is stopped at the next opportunity.
    Now,
}

/// Cancels one run. Clones share one state.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<watch::Sender<Urgency>>);

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelToken {
    /// Returns a token without a request.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Urgency::None)))
    }

    /// Requests a cancellation: the guest is notified once and has its grace period.
    pub fn cancel(&self) {
        self.raise(Urgency::Requested);
    }

    /// Terminates the run without notifying the guest.
    pub fn terminate(&self) {
        self.raise(Urgency::Now);
    }

    /// Returns the current urgency.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Waits until the urgency is at least `urgency`.
    pub async fn reached(&self, urgency: Urgency) {
        let mut receiver = self.0.subscribe();
        if receiver.wait_for(|now| *now >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn raise(&self, to: Urgency) {
        self.0.send_if_modified(|now| {
            let higher = to > *now;
            if higher {
                *now = to;
            }
            higher
        });
    }
}
