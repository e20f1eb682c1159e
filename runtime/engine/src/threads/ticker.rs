//! The epoch's clock: a separate OS thread, because busy guests can starve a tokio task. It ticks
//! each millisecond while a guest runs, and otherwise sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Interval between ticks.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Number of ticks without a guest before the thread sleeps: under steady load it never needs to be
/// woken.
const IDLE_TICKS: u32 = 100;

/// Advances the epoch while guests run.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<TickerState>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct TickerState {
    /// Number of guests that are being polled.
    guests: AtomicU32,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// Keeps the epoch advancing until it is dropped.
pub(crate) struct TickGuard<'a>(&'a TickerState);

impl Drop for TickGuard<'_> {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, SeqCst);
    }
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the machine cannot start a thread.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState::default());
        let theirs = Arc::clone(&shared);
        let handle = std::thread::Builder::new()
            .name("tidemill-ticker".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || tick(&theirs, &engine))?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }

    /// Counts a guest as running until the guard is dropped.
    pub fn guest(&self) -> TickGuard<'_> {
        self.shared.guests.fetch_add(1, SeqCst);
        // The thread sets `asleep` before it reads `guests` for the last time, so one of the two
        // sees the other.
        if self.shared.asleep.load(SeqCst) {
            self.thread.unpark();
        }
        TickGuard(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

fn tick(shared: &TickerState, engine: &Engine) {
    let mut idle = 0;
    while !shared.ended.load(SeqCst) {
        if shared.guests.load(SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > IDLE_TICKS {
            shared.asleep.store(true, SeqCst);
            if shared.guests.load(SeqCst) == 0 && !shared.ended.load(SeqCst) {
                std::thread::park();
            }
            shared.asleep.store(false, SeqCst);
            idle = 0;
        }
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_sleeps_without_guests_and_wakes_for_one() {
        let engine = Engine::default();
        let ticker = Ticker::start(engine).unwrap();
        let asleep = || ticker.shared.asleep.load(SeqCst);
        for _ in 0..5_000 {
            if asleep() {
                break;
            }
            std::thread::sleep(TICK);
        }
        assert!(asleep());
        let guest = ticker.guest();
        for _ in 0..5_000 {
            if !asleep() {
                break;
            }
            std::thread::sleep(TICK);
        }
        assert!(!asleep());
        drop(guest);
    }
}
