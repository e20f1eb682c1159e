//! The number of attempts of failed work and the delays between them. The host carries out the
//! retries.

use crate::host::types::RetryPolicy;
use crate::time::to_millis;
use std::str::FromStr;
use std::time::Duration;

/// A retry policy. It starts as the host's default: five attempts, with delays from one second,
/// doubling up to five minutes, and up to 20 % jitter. Its methods change single values.
///
/// ```
/// use std::time::Duration;
/// use tidemill_sdk::Retry;
///
/// let three_times_a_minute_apart = Retry::times(3).every(Duration::from_secs(60));
/// let patient = Retry::without_end().doubling(Duration::from_secs(1), Duration::from_secs(3_600));
/// assert_eq!(three_times_a_minute_apart, "3x60s".parse().unwrap());
/// # let _ = patient;
/// ```
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
    /// Sets the maximum number of attempts, the first included.
    #[must_use]
    pub fn attempts(count: u32) -> Self {
        Self { max_attempts: count.max(1), ..Self::default() }
    }

    /// Sets the maximum number of retries after the first attempt: one attempt more than
    /// [`Retry::attempts`] with the same number.
    #[must_use]
    pub fn times(count: u32) -> Self {
        Self::attempts(count.saturating_add(1))
    }

    /// For temporary failures, such as a lost connection or a conflict: five attempts, with delays
    /// from 100 ms, doubling up to two seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self::attempts(5).doubling(Duration::from_millis(100), Duration::from_secs(2))
    }

    /// For work that must eventually succeed, such as compensation: no maximum of attempts, with
    /// delays from one second, doubling up to an hour.
    #[must_use]
    pub fn patient() -> Self {
        Self::without_end().doubling(Duration::from_secs(1), Duration::from_secs(3_600))
    }

    /// Retries until the work succeeds or the run ends.
    #[must_use]
    pub fn without_end() -> Self {
        Self { max_attempts: 0, ..Self::default() }
    }

    /// Allows one attempt only.
    #[must_use]
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// Uses a fixed delay without jitter.
    #[must_use]
    pub fn every(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self.max_delay = delay;
        self.factor_permille = 1_000;
        self.jitter_permille = 0;
        self
    }

    /// Uses delays that start at `first` and double up to `longest`.
    #[must_use]
    pub fn doubling(mut self, first: Duration, longest: Duration) -> Self {
        self.initial_delay = first;
        self.max_delay = longest;
        self.factor_permille = 2_000;
        self
    }

    /// Sets the delay before the second attempt.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the factor from one delay to the next, in thousandths: 2000 doubles it, 1000 keeps it.
    #[must_use]
    pub fn factor_permille(mut self, factor: u32) -> Self {
        self.factor_permille = factor;
        self
    }

    /// Sets the maximum delay.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the maximum random addition to a delay, in thousandths of that delay.
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

/// Parses a preset of a manifest: `default`, `never`, `quick`, `patient`, or `3x60s` for three
/// retries, a minute apart. The delay is in `ms`, `s`, `m` or `h`.
impl FromStr for Retry {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::Error::new("bad-retry", format!("`{text}` is not a retry preset, such as `3x60s`"));
        match text {
            "default" => return Ok(Self::default()),
            "never" => return Ok(Self::never()),
            "quick" => return Ok(Self::quick()),
            "patient" => return Ok(Self::patient()),
            _ => {}
        }
        let (count, delay) = text.split_once('x').ok_or_else(bad)?;
        let digits = delay.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = delay.split_at(digits);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let delay = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)).ok_or_else(bad)?;
        let count = Some(count).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit())).ok_or_else(bad)?;
        let count: u32 = count.parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
        Ok(Self::times(count).every(Duration::from_millis(delay)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_counts_what_comes_after_the_first() {
        assert_eq!(Retry::times(3), Retry::attempts(4));
        assert_eq!(Retry::never(), Retry::times(0));
        assert_eq!(Retry::times(u32::MAX), Retry::attempts(u32::MAX));
    }

    #[test]
    fn a_preset_is_read_and_anything_else_refused() {
        assert_eq!("3x60s".parse(), Ok(Retry::times(3).every(Duration::from_secs(60))));
        assert_eq!("2x5m".parse(), Ok(Retry::times(2).every(Duration::from_secs(300))));
        for (name, retry) in [("never", Retry::never()), ("quick", Retry::quick()), ("patient", Retry::patient())] {
            assert_eq!(name.parse(), Ok(retry));
        }
        for bad in
            ["", "x", "3x", "3x60", "x60s", "3x60d", "-1x1s", "+3x1s", "0x1s", "3x18446744073709551615h", "3x60s "]
        {
            assert!(bad.parse::<Retry>().is_err(), "{bad}");
        }
    }
}
