//! The source of time: a small trait, so that tests control the clock.
//!
//! No other file of the host may read the machine's clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ids::Timestamp;

/// Returns the time of day. Code that decides by time takes a clock or a [`Timestamp`].
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump in either direction, as the machine's
    /// clock does.
    fn now(&self) -> Timestamp;

    /// Time until `at`, as precise as the clock; zero if `at` has passed. A [`Timestamp`] is
    /// precise only to the millisecond.
    fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.millis_since(self.now()))
    }

    /// Time since `at`, as precise as the clock; zero if `at` is in the future.
    fn since(&self, at: Timestamp) -> Duration {
        Duration::from_millis(self.now().millis_since(at))
    }
}

/// The machine's clock.
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

/// Monotonic measurement of a duration. It never decides when something is due.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts a measurement.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that changes only on request, for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    time: AtomicU64,
    /// By how many milliseconds each reading advances it.
    step: AtomicU64,
}

impl ManualClock {
    /// Returns a clock that shows `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { time: AtomicU64::new(at.as_millis()), step: AtomicU64::default() }
    }

    /// Advances the clock by `millis` after each reading from now on, as on a slow machine.
    pub fn advance_after_each_reading(&self, millis: u64) {
        self.step.store(millis, Ordering::SeqCst);
    }

    /// Advances the clock by `millis` and returns the new time.
    pub fn advance(&self, millis: u64) -> Timestamp {
        Timestamp::from_millis(self.time.fetch_add(millis, Ordering::SeqCst).saturating_add(millis))
    }

    /// Sets the clock to `at`, which may be in the past.
    pub fn set(&self, at: Timestamp) {
        self.time.store(at.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.time.fetch_add(self.step.load(Ordering::SeqCst), Ordering::SeqCst))
    }
}
