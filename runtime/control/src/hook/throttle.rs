//! The rate of verified requests to a hook: a bucket that holds the runs of one period.

use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::flow::Rate;

/// The requests of one hook, by the time at which its bucket would be full again.
#[derive(Debug, Default)]
pub(crate) struct HookThrottle(Mutex<Duration>);

impl HookThrottle {
    /// Takes one request `now`. If the bucket is empty, returns how long it stays so.
    pub(crate) fn take(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let period = Duration::from_millis(rate.per_millis);
        let each = period / rate.runs.max(1);
        let mut full_at = self.0.lock();
        let next = (*full_at).max(now) + each;
        let wait = next.saturating_sub(now + period);
        if wait.is_zero() {
            *full_at = next;
            return Ok(());
        }
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_takes_its_number_of_requests_and_refills_evenly() {
        let (throttle, rate) = (HookThrottle::default(), Rate { runs: 4, per_millis: 1_000 });
        let at = Duration::from_millis;
        for _ in 0..4 {
            assert_eq!(throttle.take(rate, at(5_000)), Ok(()));
        }
        assert_eq!(throttle.take(rate, at(5_000)), Err(at(250)));
        assert_eq!(throttle.take(rate, at(5_200)), Err(at(50)));
        assert_eq!(throttle.take(rate, at(5_250)), Ok(()));
        assert_eq!(throttle.take(rate, at(5_250)), Err(at(250)));
    }
}
