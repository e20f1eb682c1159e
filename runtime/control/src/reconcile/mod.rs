//! What drives every reconcile loop: look, work, rest until something is due or somebody knocks.
//!
//! A loop's own work is in [`Reconciler::tick`], which takes the time as an argument and never rests: tests turn the clock
//! and call it. How long to rest is told by date; the rest is cut into pieces, so that a clock that is set, forward or back, is
//! noticed within a second.

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

use crate::control_plane::HostState;
use crate::error::ControlError;
use crate::reconcile::timer::Timer;
use crate::run::execution::back_off;

/// After so long a rest the clock is read again.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What one look found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickReport {
    /// Things that were due.
    pub(crate) found: usize,
    /// Those that were done.
    pub(crate) done: usize,
    /// Those that failed, and will be found again.
    pub(crate) failed: usize,
    /// When to look again.
    pub(crate) rest: NextTick,
}

/// When to look again; a knock comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextTick {
    /// At once: one look did not get through.
    Now,
    /// At that time.
    At(Timestamp),
    /// When somebody knocks.
    OnWake,
}

/// A reconcile loop.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// Its name, for the log.
    const NAME: &'static str;

    /// Looks once, and does what is due at `now`.
    fn tick(&self, now: Timestamp) -> impl Future<Output = Result<TickReport, ControlError>> + Send;

    /// Waits for a knock.
    fn woken(&self) -> impl Future<Output = ()> + Send;
}

/// Drives a loop until the host shuts down.
pub(crate) fn spawn<L: Reconciler>(host: Arc<HostState>, turned: L) -> JoinHandle<()> {
    tokio::spawn(async move {
        let ended = host.closing();
        tokio::pin!(ended);
        let mut alarm = Timer::new();
        let mut failures = 0;
        let mut last_error = String::new();
        while !host.is_closed() {
            // A look is never cut off: what it has claimed must come into somebody's hands.
            let looked = turned.tick(host.clock.now()).await;
            let rest = match looked {
                Ok(TickReport { failed: 0, rest, .. }) => {
                    failures = 0;
                    last_error.clear();
                    rest
                }
                looked => {
                    failures += 1;
                    let text = looked.err().map(|error| error.to_string()).unwrap_or_default();
                    // The same again tells nobody anything new.
                    if text != last_error {
                        tracing::warn!(name = L::NAME, error = text, "a loop failed and will try again");
                        last_error = text;
                    }
                    // While the store fails, knocking does not help.
                    tokio::select! {
                        () = tokio::time::sleep(back_off(failures)) => continue,
                        () = &mut ended => return,
                    }
                }
            };
            tokio::select! {
                () = until(&host, rest, &mut alarm) => {}
                () = turned.woken() => {}
                () = &mut ended => return,
            }
        }
    })
}

/// Rests by date, in pieces: the machine's clock may be set meanwhile, either way.
async fn until(host: &HostState, rest: NextTick, alarm: &mut Timer) {
    let began = host.clock.now();
    let at = match rest {
        NextTick::Now => return,
        NextTick::At(at) => at,
        NextTick::OnWake => return std::future::pending().await,
    };
    loop {
        let now = host.clock.now();
        // Set back: what was worked out by the old time is looked at again.
        if now >= at || now < began {
            return;
        }
        alarm.sleep(host.clock.until(at).min(LONGEST_REST)).await;
    }
}
