//! The two phases of a shutdown: first the host accepts no new work, then it hands executing runs
//! back.

use std::time::Duration;

use tidemill_core::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;

/// Pause after failures of the store in a row.
pub(crate) const STORE_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), factor: 2, max: Duration::from_secs(5) };

/// How far the shutdown of a host has come. Clones refer to the same host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Cancelled once the host accepts no new work.
    pub(crate) closing: CancellationToken,
    /// Cancelled once executing runs are interrupted and handed back.
    pub(crate) stopping: CancellationToken,
}

impl Shutdown {
    /// Refuses a request if the host accepts no new work.
    ///
    /// # Errors
    /// `host/shutting-down`.
    pub(crate) fn check_open(&self) -> Result<(), ControlError> {
        if self.is_closing() { Err(ControlError::shutting_down()) } else { Ok(()) }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Backs off after a store failure. Returns early once executing runs are handed back.
    pub(crate) async fn back_off(&self, failures: u32) {
        let pause = tokio::time::sleep(STORE_BACKOFF.pause(failures));
        self.stopping.run_until_cancelled(pause).await;
    }
}
