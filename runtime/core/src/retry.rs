//! Whether failed work is retried, and after which delay.
//!
//! Pure arithmetic: the delay before an attempt is a function of the policy, the attempt and one
//! random number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Maximum delay of a policy, in milliseconds: 7 days.
pub const DELAY_MAX_MILLIS: u64 = 7 * 24 * 3_600_000;
/// Maximum number of attempts of a policy; 0 means unlimited.
pub const ATTEMPTS_MAX: u32 = 10_000;
/// Maximum factor, in thousandths.
pub const FACTOR_MAX_PERMILLE: u32 = 100_000;

/// When to retry failed work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Maximum number of attempts, the first included; 0 means unlimited.
    pub max_attempts: u32,
    /// Delay before the second attempt, in milliseconds.
    pub initial_millis: u64,
    /// Factor between two delays, in thousandths: 2000 doubles the delay.
    pub factor_permille: u32,
    /// Maximum delay without jitter, in milliseconds.
    pub max_millis: u64,
    /// Maximum random addition to each delay, as a share of the delay in thousandths.
    pub jitter_permille: u32,
}

impl Default for RetryPolicy {
    /// Five attempts, 1 s, doubling, at most 5 minutes, 20 % jitter.
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_millis: 1_000,
            factor_permille: 2_000,
            max_millis: 300_000,
            jitter_permille: 200,
        }
    }
}

/// A policy outside its bounds; the text names the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRetryPolicy(pub &'static str);

impl RetryPolicy {
    /// One attempt only.
    pub const NEVER: Self =
        Self { max_attempts: 1, initial_millis: 0, factor_permille: 1_000, max_millis: 0, jitter_permille: 0 };

    /// For failures that usually pass at once: five attempts, 100 ms doubling up to 2 s, 20 %
    /// jitter.
    pub const QUICK: Self =
        Self { max_attempts: 5, initial_millis: 100, factor_permille: 2_000, max_millis: 2_000, jitter_permille: 200 };

    /// For work that must succeed eventually: unlimited attempts, 1 s doubling up to an hour, 20 %
    /// jitter.
    pub const PATIENT: Self = Self {
        max_attempts: 0,
        initial_millis: 1_000,
        factor_permille: 2_000,
        max_millis: 3_600_000,
        jitter_permille: 200,
    };

    /// The policy of a preset: `default`, `never`, `quick`, `patient`, or `NxDURATION` such as
    /// `3x60s`, which is the number of retries and the delay between them. The SDK has the same
    /// presets.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "default" => return Some(Self::default()),
            "never" => return Some(Self::NEVER),
            "quick" => return Some(Self::QUICK),
            "patient" => return Some(Self::PATIENT),
            _ if name.len() > 32 => return None,
            _ => {}
        }
        let (retries, delay) = name.split_once('x')?;
        let retries: u32 = retries.bytes().all(|b| b.is_ascii_digit()).then(|| retries.parse().ok()).flatten()?;
        let delay = u64::try_from(crate::wire::parse_span(delay).ok()?.as_millis()).ok()?;
        let policy = Self {
            max_attempts: retries.checked_add(1).filter(|_| retries > 0)?,
            initial_millis: delay,
            factor_permille: 1_000,
            max_millis: delay,
            jitter_permille: 0,
        };
        policy.checked().ok()
    }

    /// Returns the policy if it is within bounds.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub const fn checked(self) -> Result<Self, InvalidRetryPolicy> {
        if self.max_attempts > ATTEMPTS_MAX {
            Err(InvalidRetryPolicy("at most 10000 attempts; 0 means without end"))
        } else if self.max_millis > DELAY_MAX_MILLIS {
            Err(InvalidRetryPolicy("a delay is at most 7 days"))
        } else if self.initial_millis > self.max_millis {
            Err(InvalidRetryPolicy("the first delay is at most the maximum delay"))
        } else if self.factor_permille < 1_000 || self.factor_permille > FACTOR_MAX_PERMILLE {
            Err(InvalidRetryPolicy("a factor is from 1000 to 100000 thousandths"))
        } else if self.jitter_permille > 1_000 {
            Err(InvalidRetryPolicy("jitter is at most 1000 thousandths"))
        } else {
            Ok(self)
        }
    }

    /// The delay before `attempt`, in milliseconds. Attempts count from 1, and the first has no
    /// delay.
    ///
    /// `random` is uniformly distributed over `u64`. The delay is at most [`Self::max_millis`]
    /// plus jitter.
    #[must_use]
    pub fn delay_before(&self, attempt: u32, random: u64) -> u64 {
        let Some(growths) = attempt.checked_sub(2) else { return 0 };
        let growth = (f64::from(self.factor_permille) / 1_000.0).powi(i32::try_from(growths).unwrap_or(i32::MAX));
        // The conversion loses precision, but the float is only compared with the maximum.
        let grown = self.initial_millis as f64 * growth;
        let delay = if grown < self.max_millis as f64 { grown as u64 } else { self.max_millis };
        let delay = if self.initial_millis == 0 { 0 } else { delay };
        let most = u128::from(delay) * u128::from(self.jitter_permille) / 1_000;
        let jitter = ((most + 1) * u128::from(random)) >> 64;
        delay.saturating_add(u64::try_from(jitter).unwrap_or(u64::MAX))
    }

    /// Whether another attempt follows the failed `attempt`, which counts from 1.
    #[must_use]
    pub const fn has_another(&self, attempt: u32) -> bool {
        self.max_attempts == 0 || attempt < self.max_attempts
    }
}

/// The pause of the host between two tries of its own work, such as a write to a failing disk. It
/// has no maximum number of tries and no jitter; a run's attempts follow a [`RetryPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Pause after the first failure.
    pub initial: Duration,
    /// Factor between two pauses.
    pub factor: u32,
    /// Maximum pause.
    pub max: Duration,
}

impl Backoff {
    /// Returns the pause after `failures` failures in a row.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let growth = self.factor.saturating_pow(failures.saturating_sub(1));
        self.initial.saturating_mul(growth).min(self.max)
    }
}

/// What happens to a run without attempts left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExhaustionPolicy {
    /// It is parked for an operator.
    Park,
    /// It fails.
    Fail,
}

/// How the runs of a deployment are retried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRetry {
    /// When to retry.
    pub policy: RetryPolicy,
    /// What to do after the last attempt; `None` parks a root run and fails a child run.
    pub then: Option<ExhaustionPolicy>,
    /// Whether traps and exceeded limits are retried too.
    pub on_trap: bool,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Another attempt.
    Retry {
        /// Delay before it, in milliseconds.
        delay_millis: u64,
    },
    /// No more attempts: the run ends or is parked with the failure of the last attempt.
    /// `exhausted` means that only the policy prevents another attempt (`host/retries-exhausted`).
    GiveUp {
        /// What happens to the run.
        then: ExhaustionPolicy,
        /// Whether the attempts are exhausted.
        exhausted: bool,
    },
}

/// The properties of a failed attempt that the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Whether the failure is marked as retryable.
    pub retryable: bool,
    /// Whether the guest trapped or exceeded a limit.
    pub trap_or_limit: bool,
    /// Whether another run started this one.
    pub child: bool,
}

impl RunRetry {
    /// Returns what follows `failed`. `random` is uniformly distributed over `u64`.
    #[must_use]
    pub fn after_failure(&self, failed: FailedAttempt, random: u64) -> AfterFailure {
        let worth_it = if failed.trap_or_limit { self.on_trap } else { failed.retryable };
        if worth_it && self.policy.has_another(failed.attempt) {
            let next = failed.attempt.saturating_add(1);
            return AfterFailure::Retry { delay_millis: self.policy.delay_before(next, random) };
        }
        let then = self.then.unwrap_or(if failed.child { ExhaustionPolicy::Fail } else { ExhaustionPolicy::Park });
        AfterFailure::GiveUp { then, exhausted: worth_it && self.policy.max_attempts > 1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> impl Strategy<Value = RetryPolicy> {
        let delays = (0..=DELAY_MAX_MILLIS, 0..=DELAY_MAX_MILLIS);
        (0..=ATTEMPTS_MAX, delays, 1_000..=FACTOR_MAX_PERMILLE, 0u32..=1_000).prop_map(
            |(max_attempts, (a, b), f, j)| RetryPolicy {
                max_attempts,
                initial_millis: a.min(b),
                factor_permille: f,
                max_millis: a.max(b),
                jitter_permille: j,
            },
        )
    }

    #[test]
    fn the_default_doubles_up_to_five_minutes() {
        let delays: Vec<_> = (1..=11).map(|n| RetryPolicy::default().delay_before(n, 0)).collect();
        assert_eq!(delays, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]);
        assert_eq!(RetryPolicy::default().delay_before(2, u64::MAX), 1_200);
    }

    #[test]
    fn pauses_grow_from_the_initial_one_to_the_maximum() {
        let backoff = Backoff { initial: Duration::from_millis(200), factor: 2, max: Duration::from_secs(5) };
        let pauses = [0, 1, 2, 5, 6, 7, u32::MAX].map(|failures| backoff.pause(failures).as_millis());
        assert_eq!(pauses, [200, 200, 400, 3_200, 5_000, 5_000, 5_000]);
    }

    #[test]
    fn presets_give_the_number_of_retries_and_their_delay() {
        let three = RetryPolicy::preset("3x60s").unwrap();
        assert_eq!(
            (three.max_attempts, three.delay_before(2, 9), three.delay_before(4, u64::MAX)),
            (4, 60_000, 60_000)
        );
        for (name, policy) in
            [("never", RetryPolicy::NEVER), ("quick", RetryPolicy::QUICK), ("patient", RetryPolicy::PATIENT)]
        {
            assert_eq!((RetryPolicy::preset(name), policy.checked()), (Some(policy), Ok(policy)));
        }
        for bad in ["", "x", "3x", "x60s", "0x60s", "-1x60s", "+3x1s", "3x60", "3x8days", "99999x1s", "4294967295x1s"] {
            assert_eq!(RetryPolicy::preset(bad), None, "{bad}");
        }
    }

    #[test]
    fn traps_and_limits_are_retried_only_on_request() {
        let failed = FailedAttempt { attempt: 1, retryable: true, trap_or_limit: true, child: false };
        let gives_up = AfterFailure::GiveUp { then: ExhaustionPolicy::Park, exhausted: false };
        assert_eq!(RunRetry::default().after_failure(failed, 0), gives_up);
        let on_trap = RunRetry { on_trap: true, ..RunRetry::default() };
        assert_eq!(on_trap.after_failure(failed, 0), AfterFailure::Retry { delay_millis: 1_000 });
    }

    #[test]
    fn children_fail_and_roots_are_parked() {
        let last = |child| FailedAttempt { attempt: 5, retryable: true, trap_or_limit: false, child };
        let retry = RunRetry::default();
        assert_eq!(
            retry.after_failure(last(false), 0),
            AfterFailure::GiveUp { then: ExhaustionPolicy::Park, exhausted: true }
        );
        assert_eq!(
            retry.after_failure(last(true), 0),
            AfterFailure::GiveUp { then: ExhaustionPolicy::Fail, exhausted: true }
        );
        let explicit = RunRetry { then: Some(ExhaustionPolicy::Fail), ..retry };
        assert_eq!(
            explicit.after_failure(last(false), 0),
            AfterFailure::GiveUp { then: ExhaustionPolicy::Fail, exhausted: true }
        );
    }

    proptest! {
        #[test]
        fn delays_never_shrink_and_stay_in_bounds(policy in policy(), attempt in 2u32.., random in any::<u64>()) {
            prop_assert_eq!(policy.checked(), Ok(policy));
            let plain = policy.delay_before(attempt, 0);
            prop_assert!(plain >= policy.initial_millis && plain <= policy.max_millis);
            prop_assert!(policy.delay_before(attempt.saturating_add(1), 0) >= plain);
            let with_jitter = policy.delay_before(attempt, random);
            prop_assert!(with_jitter >= plain && with_jitter <= plain + plain * u64::from(policy.jitter_permille) / 1_000);
        }

        #[test]
        fn a_run_has_exactly_the_attempts_of_its_policy(max in 1u32..50) {
            let retry = RunRetry { policy: RetryPolicy { max_attempts: max, ..RetryPolicy::default() }, ..RunRetry::default() };
            let mut attempt = 1;
            while let AfterFailure::Retry { .. } =
                retry.after_failure(FailedAttempt { attempt, retryable: true, trap_or_limit: false, child: false }, 7)
            {
                attempt += 1;
            }
            prop_assert_eq!(attempt, max);
        }

        #[test]
        fn any_text_is_a_preset_or_none(text in "\\PC{0,40}|[0-9]{0,12}x[0-9]{0,22}[a-z]{0,3}") {
            if let Some(policy) = RetryPolicy::preset(&text) { prop_assert_eq!(policy.checked(), Ok(policy)); }
        }
    }
}
