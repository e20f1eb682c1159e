//! Drives every reconcile loop: tick, then sleep until something is due or the loop is woken.
//!
//! A loop's own work is in [`Reconciler::tick`], which takes the time as an argument and never
//! sleeps, so that tests move the clock and call it. The next tick is a date. The sleep until then
//! is split into pieces, so that a change of the clock in either direction is noticed within a
//! second.

pub(crate) mod backlog;
pub(crate) mod breakers;
pub(crate) mod cancellations;
pub(crate) mod delivery;
pub(crate) mod dispatcher;
mod due;
pub(crate) mod findings;
pub(crate) mod grants;
pub(crate) mod key_rotation;
pub(crate) mod operations;
pub(crate) mod recovery;
pub(crate) mod reservations;
pub(crate) mod retention;
pub(crate) mod scheduler;
pub(crate) mod scrub;
pub(crate) mod scrub_status;
pub(crate) mod secrets;
pub(crate) mod timer;
pub(crate) mod zones;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidemill_core::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;
use crate::reconcile::timer::Timer;
use crate::shutdown::STORE_BACKOFF;

/// Maximum time between two readings of the clock.
const CLOCK_READ_INTERVAL: Duration = Duration::from_secs(1);

/// What one tick found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickReport {
    /// Number of due items.
    pub(crate) found: usize,
    /// Number of completed items.
    pub(crate) done: usize,
    /// Number of failed items, which the next tick finds again.
    pub(crate) failed: usize,
    /// When to tick next.
    pub(crate) next: NextTick,
}

/// When to tick next. A wake-up comes earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextTick {
    /// At once, because one tick did not process everything.
    Now,
    /// At a date.
    At(Timestamp),
    /// Only when the loop is woken.
    OnWake,
}

/// A reconcile loop.
#[async_trait]
pub(crate) trait Reconciler: Send + Sync {
    /// Returns the loop's name, for the log.
    fn name(&self) -> &'static str;

    /// Processes what is due at `now`.
    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError>;

    /// Waits until the loop is woken.
    async fn woken(&self) {
        std::future::pending().await
    }
}

/// Runs a loop until `closing` is cancelled.
pub(crate) async fn run(reconciler: Box<dyn Reconciler>, clock: Arc<dyn Clock>, closing: CancellationToken) {
    let mut timer = Timer::new();
    let mut failures = 0;
    let mut last_error = String::new();
    while !closing.is_cancelled() {
        // Never cancel a tick: whatever it claimed must be handed to a worker.
        let ticked = reconciler.tick(clock.now()).await;
        let next = match ticked {
            Ok(TickReport { failed: 0, next, .. }) => {
                failures = 0;
                last_error.clear();
                next
            }
            ticked => {
                failures += 1;
                let text = ticked.err().map(|error| error.to_string()).unwrap_or_default();
                // Log a repeated error only once.
                if text != last_error {
                    tracing::warn!(name = reconciler.name(), error = text, "loop failed; will retry");
                    last_error = text;
                }
                // Ignore wake-ups while backing off.
                closing.run_until_cancelled(tokio::time::sleep(STORE_BACKOFF.pause(failures))).await;
                continue;
            }
        };
        tokio::select! {
            () = until(&*clock, next, &mut timer) => {}
            () = reconciler.woken() => {}
            () = closing.cancelled() => return,
        }
    }
}

/// Sleeps until a date, in pieces, because the system clock may be set in either direction.
async fn until(clock: &dyn Clock, next: NextTick, timer: &mut Timer) {
    let began = clock.now();
    let at = match next {
        NextTick::Now => return,
        NextTick::At(at) => at,
        NextTick::OnWake => return std::future::pending().await,
    };
    loop {
        let now = clock.now();
        // If the clock was set back, recompute what the old time decided.
        if now >= at || now < began {
            return;
        }
        timer.sleep(clock.until(at).min(CLOCK_READ_INTERVAL)).await;
    }
}
