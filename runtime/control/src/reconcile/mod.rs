//! Drives every reconcile loop: tick, then sleep until something is due or the loop is woken.
//!
//! A loop's own work is in [`Reconciler::tick`], which takes the time as an argument and never
//! sleeps, so that tests move the clock and call it. The next tick is a date. The sleep until then
//! is split into pieces, so that a change of the clock in either direction is noticed within a
//! second.

pub(crate) mod delivery;
pub(crate) mod dispatcher;
pub(crate) mod operations;
pub(crate) mod recovery;
pub(crate) mod retention;
pub(crate) mod scheduler;
pub(crate) mod scrub;
pub(crate) mod timer;
pub(crate) mod zones;

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::Timestamp;
use tokio::task::JoinHandle;

use crate::control_plane::{HostState, STORE_BACKOFF};
use crate::error::ControlError;
use crate::reconcile::timer::Timer;

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
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// The loop's name, for the log.
    const NAME: &'static str;

    /// Processes what is due at `now`.
    fn tick(&self, now: Timestamp) -> impl Future<Output = Result<TickReport, ControlError>> + Send;

    /// Waits until the loop is woken.
    fn woken(&self) -> impl Future<Output = ()> + Send;
}

/// Runs a loop until the host shuts down.
pub(crate) fn spawn<L: Reconciler>(host: Arc<HostState>, reconciler: L) -> JoinHandle<()> {
    tokio::spawn(async move {
        let ended = host.closing();
        tokio::pin!(ended);
        let mut timer = Timer::new();
        let mut failures = 0;
        let mut last_error = String::new();
        while !host.is_closed() {
            // Never cancel a tick: whatever it claimed must be handed to a worker.
            let ticked = reconciler.tick(host.clock.now()).await;
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
                        tracing::warn!(name = L::NAME, error = text, "loop failed; will retry");
                        last_error = text;
                    }
                    // Ignore wake-ups while backing off.
                    tokio::select! {
                        () = tokio::time::sleep(STORE_BACKOFF.pause(failures)) => continue,
                        () = &mut ended => return,
                    }
                }
            };
            tokio::select! {
                () = until(&host, next, &mut timer) => {}
                () = reconciler.woken() => {}
                () = &mut ended => return,
            }
        }
    })
}

/// Sleeps until a date, in pieces, because the system clock may be set in either direction.
async fn until(host: &HostState, next: NextTick, timer: &mut Timer) {
    let began = host.clock.now();
    let at = match next {
        NextTick::Now => return,
        NextTick::At(at) => at,
        NextTick::OnWake => return std::future::pending().await,
    };
    loop {
        let now = host.clock.now();
        // If the clock was set back, recompute what the old time decided.
        if now >= at || now < began {
            return;
        }
        timer.sleep(host.clock.until(at).min(CLOCK_READ_INTERVAL)).await;
    }
}
