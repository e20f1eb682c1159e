//! What follows from how an attempt ended: a pure decision, so that it can be held against its rules without a run.

use tidemill_core::retry::{AfterFailure, FailedAttempt, RunRetry, Then};
use tidemill_core::run::RunEvent;
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_engine::{Cause, NextAttempt, Outcome};

use crate::metrics::AttemptEnd;

/// What is known of the attempt beside its outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) number: u32,
    pub(super) retry: &'a RunRetry,
    /// Whether another run started this one.
    pub(super) child: bool,
    /// Whether a person cancelled it.
    pub(super) told: bool,
    /// Whether there is nothing that another attempt would do otherwise: all that it did is kept.
    pub(super) nothing_again: bool,
    /// Whether it was stopped because its lifetime was over; how long that was, in milliseconds.
    pub(super) overran: Option<u64>,
    /// What the other side says about the next attempt.
    pub(super) next: NextAttempt,
    pub(super) now: Timestamp,
    pub(super) random: u64,
}

/// Attempts that an open circuit refused are begun again at moments up to so many milliseconds apart.
const APART_MILLIS: u64 = 5_000;

/// What the commit does with the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) event: RunEvent,
    pub(super) how: AttemptEnd,
    /// Whether all that it did takes hold, or what a retry keeps.
    pub(super) effects: bool,
}

/// What follows.
///
/// A success takes hold with all its effects. So does a run that was cancelled: it has had its time to clean up, and what it
/// did then is meant. A failed attempt leaves what a retry keeps and its log lines, whatever becomes of the run.
pub(super) fn verdict(outcome: &Outcome, attempt: Attempt<'_>) -> Verdict {
    if attempt.told {
        return Verdict { event: RunEvent::Cancelled, how: AttemptEnd::Cancelled, effects: true };
    }
    let (failure, trap_or_limit) = match (outcome, attempt.overran) {
        (Outcome::Output(_), _) => {
            return Verdict { event: RunEvent::Succeeded, how: AttemptEnd::Succeeded, effects: true };
        }
        (Outcome::ContinueAsNew { .. }, _) => {
            let event = RunEvent::Requeued { not_before: attempt.now };
            return Verdict { event, how: AttemptEnd::Continued, effects: true };
        }
        // What left memory is not this attempt's to end; it is taken up where it was.
        (Outcome::Suspended, None) => {
            let event = RunEvent::Requeued { not_before: attempt.now };
            return Verdict { event, how: AttemptEnd::HandedBack, effects: false };
        }
        (Outcome::Failed { .. } | Outcome::Suspended, Some(lifetime)) => {
            let message = format!("the run did not end within `lifetime`, which is {lifetime} ms");
            (Code::LimitLifetime.failure(message), true)
        }
        (Outcome::Failed { failure, cause }, None) => (failure.clone(), matches!(cause, Cause::Trap | Cause::Limit)),
    };
    // A run whose lifetime is over has no time left for another attempt.
    let retry = if attempt.overran.is_some() { RunRetry { on_trap: false, ..*attempt.retry } } else { *attempt.retry };
    let failed =
        FailedAttempt { attempt: attempt.number, retryable: failure.retryable, trap_or_limit, child: attempt.child };
    if matches!(outcome, Outcome::Failed { cause: Cause::Mismatch, .. }) {
        return give_up(Then::Park, failure);
    }
    // The same answers lead to the same failure.
    let deterministic = matches!(outcome, Outcome::Failed { cause: Cause::Guest | Cause::Trap, .. });
    if attempt.nothing_again && deterministic && attempt.overran.is_none() {
        return give_up(retry.then.unwrap_or(if attempt.child { Then::Fail } else { Then::Park }), failure);
    }
    // An attempt that an open circuit refused did not take place: it is made as soon as the circuit lets it.
    let refused = attempt.next.refused && failure.retryable && retry.policy.max_attempts != 1;
    let failed = FailedAttempt { attempt: if refused { 1 } else { failed.attempt }, ..failed };
    match retry.after_failure(failed, attempt.random) {
        AfterFailure::Retry { delay_millis } => {
            let apart = if refused { attempt.random % APART_MILLIS } else { 0 };
            let earliest = attempt.next.not_before.map(|at| at.plus_millis(apart)).unwrap_or_default();
            let not_before = attempt.now.plus_millis(delay_millis).max(earliest);
            let how = if refused { AttemptEnd::Refused } else { AttemptEnd::Retried };
            Verdict { event: RunEvent::Requeued { not_before }, how, effects: false }
        }
        AfterFailure::GiveUp { then, exhausted } => {
            let failure = if exhausted { all_failed(&failure, attempt.number) } else { failure };
            give_up(then, failure)
        }
    }
}

fn give_up(then: Then, failure: Failure) -> Verdict {
    let (event, how) = match then {
        Then::Park => (RunEvent::Parked(failure), AttemptEnd::Parked),
        Then::Fail => (RunEvent::Failed(failure), AttemptEnd::Failed),
    };
    Verdict { event, how, effects: false }
}

/// `host/retries-exhausted`, with the failure of the last attempt in its details.
fn all_failed(last: &Failure, attempts: u32) -> Failure {
    let message = format!("all {attempts} attempts failed, the last with {}: {}", last.code, last.message);
    let failure = Code::RetriesExhausted.failure(message);
    match serde_json::to_string(last) {
        Ok(details) => failure.with_details(details),
        Err(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use tidemill_core::retry::RetryPolicy;

    use super::*;

    fn attempt(retry: &RunRetry) -> Attempt<'_> {
        Attempt {
            number: 1,
            retry,
            child: false,
            told: false,
            nothing_again: false,
            overran: None,
            next: NextAttempt::default(),
            now: Timestamp::from_millis(1_000),
            random: 0,
        }
    }

    fn failed(retryable: bool, cause: Cause) -> Outcome {
        Outcome::Failed { failure: Failure { retryable, ..Failure::new("late", "too late") }, cause }
    }

    #[test]
    fn a_failure_that_may_pass_is_tried_again_after_the_back_off() {
        let verdict = verdict(&failed(true, Cause::Guest), attempt(&RunRetry::default()));
        assert_eq!(verdict.event, RunEvent::Requeued { not_before: Timestamp::from_millis(2_000) });
        assert!(!verdict.effects);
    }

    #[test]
    fn an_attempt_that_an_open_circuit_refused_waits_for_it_and_does_not_count() {
        let retry = RunRetry::default();
        let until = Timestamp::from_millis(61_000);
        let next = NextAttempt { not_before: Some(until), refused: true };
        let last = Attempt { number: 5, next, ..attempt(&retry) };
        let Verdict { event, how, .. } = verdict(&failed(true, Cause::Guest), last);
        assert_eq!((event, how), (RunEvent::Requeued { not_before: until }, AttemptEnd::Refused));
        let never = RunRetry { policy: RetryPolicy::NEVER, ..retry };
        let verdict = verdict(&failed(true, Cause::Guest), Attempt { retry: &never, number: 1, ..last });
        assert!(matches!(verdict.event, RunEvent::Parked(_)), "one attempt is one");
    }

    #[test]
    fn a_run_is_not_tried_again_before_the_time_that_the_server_named() {
        let retry = RunRetry::default();
        let until = Timestamp::from_millis(31_000);
        let next = NextAttempt { not_before: Some(until), refused: false };
        let Verdict { event, how, .. } = verdict(&failed(true, Cause::Guest), Attempt { next, ..attempt(&retry) });
        assert_eq!((event, how), (RunEvent::Requeued { not_before: until }, AttemptEnd::Retried));
        let early = NextAttempt { not_before: Some(Timestamp::from_millis(1_001)), refused: false };
        let verdict = verdict(&failed(true, Cause::Guest), Attempt { next: early, ..attempt(&retry) });
        assert_eq!(verdict.event, RunEvent::Requeued { not_before: Timestamp::from_millis(2_000) });
    }

    #[test]
    fn the_last_attempt_parks_with_the_last_failure_in_its_details() {
        let retry = RunRetry::default();
        let verdict = verdict(&failed(true, Cause::Guest), Attempt { number: 5, ..attempt(&retry) });
        let RunEvent::Parked(failure) = verdict.event else { panic!("{verdict:?}") };
        assert_eq!(failure.code, "host/retries-exhausted");
        assert_eq!(serde_json::from_str::<Failure>(&failure.details.unwrap()).unwrap().code, "late");
    }

    #[test]
    fn a_failure_that_will_not_pass_parks_at_once_under_its_own_name() {
        let retry = RunRetry::default();
        for cause in [Cause::Guest, Cause::Trap, Cause::Limit, Cause::Host] {
            let RunEvent::Parked(failure) = verdict(&failed(false, cause), attempt(&retry)).event else { panic!() };
            assert_eq!(failure.code, "late");
        }
    }

    #[test]
    fn what_would_come_to_the_same_is_not_tried_again() {
        let retry = RunRetry { on_trap: true, ..RunRetry::default() };
        let same = Attempt { nothing_again: true, ..attempt(&retry) };
        for cause in [Cause::Guest, Cause::Trap] {
            let RunEvent::Parked(failure) = verdict(&failed(true, cause), same).event else { panic!() };
            assert_eq!(failure.code, "late");
        }
        let child = verdict(&failed(true, Cause::Guest), Attempt { child: true, ..same });
        assert!(matches!(child.event, RunEvent::Failed(_)));
        // What the host could not do may well be done the next time.
        assert!(matches!(verdict(&failed(true, Cause::Host), same).event, RunEvent::Requeued { .. }));
    }

    #[test]
    fn a_run_that_outlived_itself_is_not_tried_again() {
        let retry = RunRetry { on_trap: true, ..RunRetry::default() };
        let verdict = verdict(&failed(true, Cause::Cancelled), Attempt { overran: Some(5_000), ..attempt(&retry) });
        let RunEvent::Parked(failure) = verdict.event else { panic!("{verdict:?}") };
        assert_eq!(failure.code, "host/limit-lifetime");
        assert!(failure.message.contains("5000 ms"));
    }

    proptest! {
        #[test]
        fn only_a_success_or_a_cancelled_run_leaves_effects(
            number in 1u32..20, retryable in any::<bool>(), on_trap in any::<bool>(), told in any::<bool>(), child in any::<bool>(),
            cause in prop::sample::select(vec![None, Some(Cause::Guest), Some(Cause::Trap), Some(Cause::Limit), Some(Cause::Host)]),
        ) {
            let retry = RunRetry { on_trap, ..RunRetry::default() };
            let outcome = cause.map_or_else(|| Outcome::Output(Bytes::from_static(b"1")), |cause| failed(retryable, cause));
            let verdict = verdict(&outcome, Attempt { number, child, told, ..attempt(&retry) });
            prop_assert_eq!(verdict.effects, told || cause.is_none());
            prop_assert_eq!(verdict.event == RunEvent::Cancelled, told);
        }
    }
}
