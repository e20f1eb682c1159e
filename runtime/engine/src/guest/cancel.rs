//! Telling a guest to end: first politely, then at once.

use std::sync::Arc;

use tokio::sync::watch;

/// How urgently a run is to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It goes on.
    #[default]
    None,
    /// The next call that can fail says so; the guest has its grace period to clean up.
    Requested,
    /// It is stopped at the next moment that it can be.
    Now,
}

/// Tells one run to end. Clones are the same token.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<watch::Sender<Urgency>>);

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelToken {
    /// A token that has told nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Urgency::None)))
    }

    /// Asks the run to end: it is told once and has its grace period.
    pub fn cancel(&self) {
        self.raise(Urgency::Requested);
    }

    /// Stops the run without telling it.
    pub fn terminate(&self) {
        self.raise(Urgency::Now);
    }

    /// How urgent it is.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Waits until it is at least as urgent as `urgency`.
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
