//! How often, and how far apart, failed work is tried again.

use crate::bindings::imports::tidemill::guest::types::RetryPolicy;
use crate::time::to_millis;
use std::time::Duration;

/// A retry policy. It begins as the host's own default, five attempts from one second on, doubling up to five minutes, with up to
/// 20 % added at random; change what should differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    max_attempts: u32,
    initial_delay: Duration,
    factor_permille: u32,
    max_delay: Duration,
    jitter_permille: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_delay: Duration::from_secs(1),
            factor_permille: 2_000,
            max_delay: Duration::from_secs(300),
            jitter_permille: 200,
        }
    }
}

impl Retry {
    /// That many attempts, the first included.
    #[must_use]
    pub fn attempts(count: u32) -> Self {
        Self { max_attempts: count.max(1), ..Self::default() }
    }

    /// Until it succeeds or the run ends.
    #[must_use]
    pub fn without_end() -> Self {
        Self { max_attempts: 0, ..Self::default() }
    }

    /// One attempt only.
    #[must_use]
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// The delay before the second attempt.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Each delay is the one before it times this, in thousandths: 2000 doubles, 1000 keeps it.
    #[must_use]
    pub fn factor_permille(mut self, factor: u32) -> Self {
        self.factor_permille = factor;
        self
    }

    /// No delay is longer.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Up to this share of each delay, in thousandths, is added at random.
    #[must_use]
    pub fn jitter_permille(mut self, jitter: u32) -> Self {
        self.jitter_permille = jitter;
        self
    }

    pub(crate) fn to_policy(self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts,
            initial_delay: to_millis(self.initial_delay),
            factor_permille: self.factor_permille,
            max_delay: to_millis(self.max_delay),
            jitter_permille: self.jitter_permille,
        }
    }
}
