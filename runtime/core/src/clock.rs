//! Where time comes in: one small trait, so that tests turn the clock by hand.
//!
//! This is the only file of the host that may ask the machine what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ids::Timestamp;

/// Tells the time of day. Everything that decides by time takes one of these or a [`Timestamp`].
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump either way, as the machine's clock does.
    fn now(&self) -> Timestamp;

    /// How long it is until `at`, as exactly as the clock knows; nothing where that has come. A [`Timestamp`] alone says it only to
    /// the millisecond.
    fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.millis_since(self.now()))
    }

    /// How long ago `at` was, as exactly as the clock knows; nothing where that is still to come.
    fn since(&self, at: Timestamp) -> Duration {
        Duration::from_millis(self.now().millis_since(at))
    }
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn since_epoch() -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(Self::since_epoch().as_millis()).unwrap_or(u64::MAX))
    }

    fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.as_millis()).saturating_sub(Self::since_epoch())
    }

    fn since(&self, at: Timestamp) -> Duration {
        Self::since_epoch().saturating_sub(Duration::from_millis(at.as_millis()))
    }
}

/// A monotonic reading for measuring how long something took; never for deciding when something is due.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that stands still until it is turned; for tests and for simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicU64::new(at.as_millis()))
    }

    /// Turns it forward by `millis` and returns the new time.
    pub fn advance(&self, millis: u64) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(millis, Ordering::SeqCst).saturating_add(millis))
    }

    /// Turns it to `at`, which may lie in the past.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
