//! What is forgotten in time: old entries of the event feed and idempotency keys whose time is over.

use std::sync::Arc;

use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::host::Inner;
use crate::looping::{Loop, Progress, Rest};

/// How often, in milliseconds.
const EVERY: u64 = 60_000;

/// The loop that forgets.
pub(crate) struct Housekeeping {
    host: Arc<Inner>,
}

impl Housekeeping {
    pub(crate) fn new(host: Arc<Inner>) -> Self {
        Self { host }
    }
}

impl Loop for Housekeeping {
    const NAME: &'static str = "housekeeping";

    async fn tick(&self, now: Timestamp) -> Result<Progress, ControlError> {
        self.host.store.trim(self.host.config.feed_keep, now).await?;
        Ok(Progress { found: 0, done: 0, failed: 0, rest: Rest::Until(now.plus_millis(EVERY)) })
    }

    async fn knocked(&self) {
        std::future::pending().await
    }
}
