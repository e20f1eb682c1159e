//! How many runs one run may start, and the rate at which the runs of a deployment may start
//! others.

use std::time::Duration;

/// Maximum number of children of one run that are not detached and have not ended.
pub const OPEN_CHILDREN: u32 = 4_096;
/// Maximum depth of nested runs; a run that no run started has depth 1.
pub const DEPTH: u32 = 16;
/// Maximum number of starts that a deployment's runs may make at once after a pause.
pub const BURST: u32 = 10_000;
/// Sustained rate of starts of a deployment's runs, per second.
pub const PER_SECOND: u32 = 1_000;

/// Token bucket for the starts of one deployment. It refills over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StartBucket {
    /// Number of tokens. It is negative while runs that took tokens in advance wait.
    tokens: f64,
    at: Duration,
}

impl StartBucket {
    /// Returns a full bucket; times count from any fixed instant.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { tokens: f64::from(BURST), at: now }
    }

    /// Takes a token at `now`; returns the time for which the start must wait.
    pub fn take(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / f64::from(PER_SECOND)).max(0.0))
    }

    /// Whether it is full at `now`, and therefore equal to a new bucket.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens >= f64::from(BURST)
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(PER_SECOND)).min(f64::from(BURST));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_does_not_wait_and_later_starts_keep_the_rate() {
        let mut bucket = StartBucket::new(Duration::ZERO);
        assert!((0..BURST).all(|_| bucket.take(Duration::ZERO).is_zero()));
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(1));
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(2));
        assert!(!bucket.is_full(Duration::from_secs(10)) && bucket.is_full(Duration::from_secs(11)));
    }

    proptest! {
        #[test]
        fn no_span_of_time_has_more_starts_than_its_rate_and_a_burst(
            gaps in prop::collection::vec(0u64..20, 1..2_000),
        ) {
            let mut bucket = StartBucket::new(Duration::ZERO);
            assert!((0..BURST).all(|_| bucket.take(Duration::ZERO).is_zero()));
            let (mut now, mut starts) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                starts.push(now + bucket.take(now));
            }
            let last = starts.iter().max().copied().unwrap_or_default();
            prop_assert!(starts.len() as f64 <= last.as_secs_f64() * f64::from(PER_SECOND) + 1.0);
        }
    }
}
