//! How fast a deployment uses up its error budget.
//!
//! With an objective of 99.9 %, the error budget is 0.1 % of the attempts. A burn rate of 1 uses it
//! up exactly in the period of the objective, and one of 14.4 uses up 2 % of a month's budget in
//! an hour. A rate must be exceeded over a long window, so that a few failures raise nothing, and
//! over a short one, so that the alert ends soon after the failures do.

use super::history::{ServiceCounts, ServiceHistory, ServiceWindow};
use crate::ids::Timestamp;
use crate::manifest::{Objective, ServiceObjective};

/// How urgent a burn rate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BurnSpeed {
    /// The budget of a month is used up within days.
    Fast,
    /// The budget is used up before its period ends.
    Slow,
}

/// Two windows, and the burn rate that both must exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurnWindow {
    /// How urgent it is.
    pub speed: BurnSpeed,
    /// The long window.
    pub long: ServiceWindow,
    /// The short window.
    pub short: ServiceWindow,
    /// The burn rate, in tenths.
    pub rate_tenths: u64,
}

/// The windows and rates: 14.4 over an hour, 6 over six hours, 1 over three days.
pub const BURN_WINDOWS: [BurnWindow; 3] = [
    BurnWindow {
        speed: BurnSpeed::Fast,
        long: ServiceWindow::Hour,
        short: ServiceWindow::FiveMinutes,
        rate_tenths: 144,
    },
    BurnWindow {
        speed: BurnSpeed::Fast,
        long: ServiceWindow::SixHours,
        short: ServiceWindow::HalfHour,
        rate_tenths: 60,
    },
    BurnWindow {
        speed: BurnSpeed::Slow,
        long: ServiceWindow::ThreeDays,
        short: ServiceWindow::SixHours,
        rate_tenths: 10,
    },
];

/// A burn rate that is too high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurnRate {
    /// The windows that it exceeds.
    pub windows: BurnWindow,
    /// The rate over the long window.
    pub rate: f64,
    /// The attempts in the long window.
    pub counts: ServiceCounts,
}

/// Returns the number of attempts that miss an objective.
fn bad(objective: &ServiceObjective, counts: ServiceCounts) -> u64 {
    match objective {
        ServiceObjective::Availability(_) => counts.failed,
        ServiceObjective::Latency { .. } => counts.slow,
    }
}

/// Returns the burn rate of these attempts; 0 if there are none.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a rate for people needs no more than 15 digits")]
pub fn burn_rate(objective: &ServiceObjective, counts: ServiceCounts) -> f64 {
    if counts.attempts == 0 {
        return 0.0;
    }
    let share = bad(objective, counts) as f64 / counts.attempts as f64;
    share * 100_000.0 / objective.target().budget() as f64
}

/// Whether these attempts burn at `rate_tenths` or faster. A rate that even a failure of every
/// attempt cannot reach counts as reached then.
#[must_use]
pub fn is_burning(objective: &ServiceObjective, counts: ServiceCounts, rate_tenths: u64) -> bool {
    let whole = u128::from(Objective::WHOLE) * 10;
    let threshold = (u128::from(rate_tenths) * u128::from(objective.target().budget())).min(whole);
    counts.attempts > 0 && u128::from(bad(objective, counts)) * whole >= u128::from(counts.attempts) * threshold
}

impl BurnRate {
    /// Returns the first burn rate of that speed that is too high. At least `minimum` attempts in
    /// the long window must miss the objective.
    #[must_use]
    pub fn find(
        history: &ServiceHistory,
        objective: &ServiceObjective,
        speed: BurnSpeed,
        minimum: u64,
        now: Timestamp,
    ) -> Option<Self> {
        BURN_WINDOWS.into_iter().filter(|windows| windows.speed == speed).find_map(|windows| {
            let (long, short) = (history.counts(windows.long, now), history.counts(windows.short, now));
            let burns = is_burning(objective, long, windows.rate_tenths)
                && is_burning(objective, short, windows.rate_tenths)
                && bad(objective, long) >= minimum;
            burns.then(|| Self { windows, rate: burn_rate(objective, long), counts: long })
        })
    }

    /// Describes it for a person.
    #[must_use]
    pub fn text(&self, objective: &ServiceObjective) -> String {
        let Self { windows, rate, counts } = self;
        let what = match objective {
            ServiceObjective::Availability(target) => format!("failed; the objective is {target}"),
            ServiceObjective::Latency { target, within_millis } => {
                format!("took longer than {within_millis} ms; the objective is {target}")
            }
        };
        format!(
            "{} of {} attempts in {} {what}: the error budget burns at {rate:.1} times its rate",
            bad(objective, *counts),
            counts.attempts,
            windows.long.as_str()
        )
    }
}

/// Returns the share of the error budget of the last 30 days that is left: 1 if nothing is used, 0
/// if it is used up, and less if more was used; `None` without attempts.
#[must_use]
pub fn error_budget_left(history: &ServiceHistory, objective: &ServiceObjective, now: Timestamp) -> Option<f64> {
    let counts = history.counts(ServiceWindow::Month, now);
    (counts.attempts > 0).then(|| 1.0 - burn_rate(objective, counts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn availability(text: &str) -> ServiceObjective {
        ServiceObjective::Availability(text.parse().unwrap())
    }

    fn counts(attempts: u64, failed: u64) -> ServiceCounts {
        ServiceCounts { attempts, failed, slow: failed / 2 }
    }

    fn minute(minute: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_040_000 + minute * 60_000)
    }

    /// Counts 100 attempts a minute of which `failed` fail, over `minutes`.
    fn history(minutes: u64, failed: u64) -> ServiceHistory {
        let mut history = ServiceHistory::default();
        (0..minutes).for_each(|at| history.add(counts(100, failed), minute(at)));
        history
    }

    #[test]
    fn the_rate_is_the_share_of_bad_attempts_over_the_budget() {
        assert!((burn_rate(&availability("99.9%"), counts(1_000, 1)) - 1.0).abs() < 1e-9);
        assert!((burn_rate(&availability("99%"), counts(100, 100)) - 100.0).abs() < 1e-9);
        assert_eq!(burn_rate(&availability("99%"), counts(0, 0)).to_bits(), 0f64.to_bits());
        let latency = ServiceObjective::Latency { target: "95%".parse().unwrap(), within_millis: 2_000 };
        assert!((burn_rate(&latency, counts(100, 20)) - 2.0).abs() < 1e-9, "only slow attempts count");
    }

    #[test]
    fn the_three_pairs_of_windows_page_and_open_tickets() {
        let slo = availability("99.9%");
        let find = |history: &ServiceHistory, speed, at| {
            BurnRate::find(history, &slo, speed, 10, minute(at)).map(|found| found.windows.long)
        };
        // 2 % of the attempts: 20 times the rate.
        assert_eq!(find(&history(60, 2), BurnSpeed::Fast, 59), Some(ServiceWindow::Hour));
        // 1 %: 10 times the rate, which only the second pair sees.
        assert_eq!(find(&history(360, 1), BurnSpeed::Fast, 359), Some(ServiceWindow::SixHours));
        assert_eq!(find(&history(360, 1), BurnSpeed::Slow, 359), Some(ServiceWindow::ThreeDays));
        assert_eq!(find(&history(60, 0), BurnSpeed::Fast, 59), None);
        // The failures have ended, and the short window shows it.
        let mut over = history(50, 3);
        (50..60).for_each(|at| over.add(counts(100, 0), minute(at)));
        assert_eq!(find(&over, BurnSpeed::Fast, 59).filter(|long| *long == ServiceWindow::Hour), None);
    }

    #[test]
    fn few_bad_attempts_raise_nothing() {
        let mut history = ServiceHistory::default();
        history.add(counts(9, 9), minute(0));
        assert_eq!(BurnRate::find(&history, &availability("99.9%"), BurnSpeed::Fast, 10, minute(0)), None);
        history.add(counts(1, 1), minute(0));
        let found = BurnRate::find(&history, &availability("99.9%"), BurnSpeed::Fast, 10, minute(0)).unwrap();
        assert!(found.text(&availability("99.9%")).starts_with("10 of 10 attempts in 1 hour failed"), "{found:?}");
    }

    #[test]
    fn the_budget_that_is_left_follows_from_thirty_days() {
        let slo = availability("99%");
        assert_eq!(error_budget_left(&ServiceHistory::default(), &slo, minute(0)), None);
        let mut history = ServiceHistory::default();
        history.add(counts(1_000, 5), minute(0));
        assert!((error_budget_left(&history, &slo, minute(0)).unwrap() - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn burning_agrees_with_the_rate_in_real_numbers(
            target in 1u32..100_000, attempts in 1u64..1_000_000, failed in 0u64..1_000_000, tenths in 1u64..200,
        ) {
            let failed = failed.min(attempts);
            let slo = ServiceObjective::Availability(Objective::new(target).unwrap());
            let counts = ServiceCounts { attempts, failed, slow: 0 };
            let rate = burn_rate(&slo, counts);
            let threshold = tenths as f64 / 10.0;
            // Within rounding, or if all attempts failed.
            if (rate - threshold).abs() > 1e-6 {
                prop_assert_eq!(is_burning(&slo, counts, tenths), rate > threshold || failed == attempts && is_capped(&slo, tenths));
            }
        }

        #[test]
        fn any_counts_give_finite_rates(attempts in any::<u64>(), failed in any::<u64>(), target in 1u32..100_000) {
            let slo = ServiceObjective::Availability(Objective::new(target).unwrap());
            let counts = ServiceCounts { attempts, failed, slow: failed };
            prop_assert!(burn_rate(&slo, counts).is_finite());
            let _ = is_burning(&slo, counts, u64::MAX);
        }
    }

    /// Whether no share of failures can reach the rate.
    fn is_capped(slo: &ServiceObjective, tenths: u64) -> bool {
        u64::from(slo.target().budget()) * tenths > u64::from(Objective::WHOLE) * 10
    }
}
