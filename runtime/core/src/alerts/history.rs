//! How many attempts of a deployment were good, over the last hours and days.
//!
//! Counts are kept in buckets of a minute, of ten minutes, of an hour and of a day. A window is the
//! sum of its newest buckets, so it begins up to one bucket later than its length. Only buckets
//! with attempts are stored.

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;

/// What was counted of the attempts of a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCounts {
    /// Attempts that ended.
    pub attempts: u64,
    /// Those that failed by the deployment's fault.
    pub failed: u64,
    /// Those that took longer than the objective allows.
    pub slow: u64,
}

impl ServiceCounts {
    fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

/// A window over which attempts are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceWindow {
    /// Five minutes.
    FiveMinutes,
    /// Thirty minutes.
    HalfHour,
    /// One hour.
    Hour,
    /// Six hours.
    SixHours,
    /// Three days.
    ThreeDays,
    /// Thirty days, for the error budget.
    Month,
}

impl ServiceWindow {
    /// Its name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5 minutes",
            Self::HalfHour => "30 minutes",
            Self::Hour => "1 hour",
            Self::SixHours => "6 hours",
            Self::ThreeDays => "3 days",
            Self::Month => "30 days",
        }
    }

    /// Returns the resolution, and the number of its newest buckets in the window.
    const fn buckets(self) -> (usize, u64) {
        match self {
            Self::FiveMinutes => (0, 5),
            Self::HalfHour => (0, 30),
            Self::Hour => (0, 60),
            Self::SixHours => (1, 36),
            Self::ThreeDays => (2, 72),
            Self::Month => (3, 30),
        }
    }
}

/// Length of a bucket of each resolution, in milliseconds.
const BUCKET_MILLIS: [u64; 4] = [60_000, 600_000, 3_600_000, 86_400_000];
/// Number of buckets of each resolution that a window needs.
const BUCKETS: [u64; 4] = [60, 36, 72, 30];

/// The attempts in one bucket of time. Its number is its start, in lengths of a bucket since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ServiceBucket {
    number: u64,
    counts: ServiceCounts,
}

/// The attempts of a deployment over the last 30 days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHistory {
    /// The buckets of each resolution, in order.
    series: [Vec<ServiceBucket>; 4],
}

impl ServiceHistory {
    /// Adds attempts that ended until `at`. If the clock was set back, they count in the newest
    /// bucket.
    pub fn add(&mut self, counts: ServiceCounts, at: Timestamp) {
        if counts == ServiceCounts::default() {
            return;
        }
        for (series, (length, kept)) in self.series.iter_mut().zip(BUCKET_MILLIS.into_iter().zip(BUCKETS)) {
            let number = at.as_millis() / length;
            match series.last_mut() {
                Some(last) if last.number >= number => last.counts.add(counts),
                _ => series.push(ServiceBucket { number, counts }),
            }
            let newest = series.last().map_or(0, |last| last.number);
            series.retain(|bucket| bucket.number + kept > newest);
        }
    }

    /// Returns the attempts in a window that ends at `at`.
    #[must_use]
    pub fn counts(&self, window: ServiceWindow, at: Timestamp) -> ServiceCounts {
        let (resolution, length) = window.buckets();
        let (Some(series), Some(millis)) = (self.series.get(resolution), BUCKET_MILLIS.get(resolution)) else {
            return ServiceCounts::default();
        };
        let newest = series.last().map_or(0, |last| last.number).max(at.as_millis() / millis);
        let mut sum = ServiceCounts::default();
        for bucket in series.iter().rev().take_while(|bucket| bucket.number + length > newest) {
            sum.add(bucket.counts);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn attempts(attempts: u64) -> ServiceCounts {
        ServiceCounts { attempts, failed: attempts / 2, slow: 0 }
    }

    #[test]
    fn a_window_holds_its_newest_buckets() {
        let mut history = ServiceHistory::default();
        for minute in 0..600 {
            history.add(attempts(2), Timestamp::from_millis(minute * MINUTE));
        }
        let now = Timestamp::from_millis(599 * MINUTE);
        let of = |window| history.counts(window, now).attempts;
        assert_eq!(of(ServiceWindow::FiveMinutes), 10);
        assert_eq!(of(ServiceWindow::Hour), 120);
        assert_eq!(of(ServiceWindow::SixHours), 720);
        assert_eq!(of(ServiceWindow::ThreeDays), 1_200);
        let later = Timestamp::from_millis(604 * MINUTE);
        assert_eq!(history.counts(ServiceWindow::FiveMinutes, later).attempts, 0, "time passes without attempts");
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_attempts() {
        let mut history = ServiceHistory::default();
        history.add(attempts(2), Timestamp::from_millis(100 * MINUTE));
        history.add(attempts(4), Timestamp::from_millis(5 * MINUTE));
        assert_eq!(history.counts(ServiceWindow::FiveMinutes, Timestamp::from_millis(5 * MINUTE)).attempts, 6);
    }

    proptest! {
        /// Compares with a list of all attempts.
        #[test]
        fn windows_agree_with_a_list_of_attempts(
            list in prop::collection::vec((0u64..900_000, 0u64..50), 0..400),
            pause in 0u64..5_000_000,
        ) {
            let (mut history, mut at, mut model) = (ServiceHistory::default(), 1_700_000_000_000u64, Vec::new());
            for (step, count) in list {
                at += step;
                history.add(attempts(count), Timestamp::from_millis(at));
                model.push((at, attempts(count)));
            }
            let now = at + pause;
            for window in [ServiceWindow::FiveMinutes, ServiceWindow::HalfHour, ServiceWindow::Hour,
                ServiceWindow::SixHours, ServiceWindow::ThreeDays, ServiceWindow::Month]
            {
                let (resolution, length) = window.buckets();
                let start = (now / BUCKET_MILLIS[resolution] + 1).saturating_sub(length) * BUCKET_MILLIS[resolution];
                let mut expected = ServiceCounts::default();
                model.iter().filter(|(at, _)| *at >= start).for_each(|(_, counts)| expected.add(*counts));
                prop_assert_eq!(history.counts(window, Timestamp::from_millis(now)), expected, "{:?}", window);
            }
            prop_assert!(history.series.iter().zip(BUCKETS).all(|(series, kept)| series.len() as u64 <= kept));
        }
    }
}
