//! Decides what follows from the end of an attempt. The decision is pure, so that tests need no
//! run.

use tidemill_core::retry::{AfterFailure, ExhaustionPolicy, FailedAttempt, RunRetry};
use tidemill_core::run::RunEvent;
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_engine::{Cause, NextAttempt, Outcome};
use tidemill_store::records::FailedPart;

use crate::deployment::breaker::AttemptEvidence;
use crate::metrics::AttemptEnd;

/// How far the requested cancellation of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelStage {
    /// The guest does not know of it yet.
    Requested,
    /// The guest knows of it and has had time to undo its work.
    Notified,
    /// The run must end at once.
    Terminated,
}

/// What is known of the attempt besides its outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptContext<'a> {
    pub(crate) number: u32,
    pub(crate) retry: &'a RunRetry,
    /// Whether another run started this one.
    pub(crate) child: bool,
    /// `None` if no cancellation was requested.
    pub(crate) cancelled: Option<CancelStage>,
    /// Whether another attempt would do the same, because all that this one did is kept.
    pub(crate) nothing_again: bool,
    /// The maximum lifetime in milliseconds, if the attempt was stopped because of it.
    pub(crate) overran: Option<u64>,
    /// What the remote server requires of the next attempt.
    pub(crate) next: NextAttempt,
    pub(crate) now: Timestamp,
    pub(crate) random: u64,
}

/// Maximum spread of the next attempts of runs that an open circuit refused, in milliseconds.
const SPREAD_MILLIS: u64 = 5_000;

/// What the commit does with the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptVerdict {
    pub(crate) event: RunEvent,
    pub(crate) how: AttemptEnd,
    /// Whether all effects are committed, or only what a retry keeps.
    pub(crate) effects: bool,
    /// The recorded failure, besides the run's state.
    pub(crate) failed: Option<Box<(FailedPart, Failure)>>,
    /// What the attempt shows about its deployment; `None` if it shows nothing.
    pub(crate) evidence: Option<AttemptEvidence>,
}

impl AttemptVerdict {
    /// Returns a verdict that changes only the run's state.
    pub(crate) fn of(event: RunEvent, how: AttemptEnd) -> Self {
        Self { event, how, effects: false, failed: None, evidence: None }
    }
}

/// Decides what follows from an attempt.
///
/// A success commits all its effects. So does a cancelled run that returned: it had time to undo
/// its work, and its last effects are intended. A failed or stopped attempt keeps what a retry
/// keeps and its log lines, whatever becomes of the run.
pub(crate) fn verdict(outcome: &Outcome, attempt: AttemptContext<'_>) -> AttemptVerdict {
    if let Some(stage) = attempt.cancelled
        && let Some(verdict) = cancelled(outcome, stage, attempt)
    {
        return verdict;
    }
    let (failure, cause) = match (outcome, attempt.overran) {
        (Outcome::Output(_), _) => {
            return AttemptVerdict { effects: true, ..AttemptVerdict::of(RunEvent::Succeeded, AttemptEnd::Succeeded) };
        }
        (Outcome::ContinueAsNew { .. }, _) => {
            let event = RunEvent::Requeued { not_before: attempt.now };
            return AttemptVerdict { effects: true, ..AttemptVerdict::of(event, AttemptEnd::Continued) };
        }
        // A run that left memory does not end with this attempt: it is resumed later.
        (Outcome::Suspended, None) => return handed_back(attempt.now),
        _ => failure_of(outcome, attempt),
    };
    let verdict = after_failure(&failure, cause, attempt);
    // An attempt that an open circuit refused did not take place.
    let failed = (verdict.how != AttemptEnd::Refused).then(|| Box::new((FailedPart::Attempt, failure)));
    match verdict.event {
        // The run ends as requested; its failure is recorded separately.
        RunEvent::Parked(failure) | RunEvent::Failed(failure) if attempt.cancelled.is_some() => AttemptVerdict {
            failed: Some(Box::new((FailedPart::Cancellation, failure))),
            ..AttemptVerdict::of(RunEvent::Cancelled, AttemptEnd::Cancelled)
        },
        event => AttemptVerdict { event, failed, ..verdict },
    }
}

/// Decides what follows for a run with a requested cancellation. Returns `None` if only its final
/// state differs from that of another run.
fn cancelled(outcome: &Outcome, stage: CancelStage, attempt: AttemptContext<'_>) -> Option<AttemptVerdict> {
    let end = AttemptVerdict::of(RunEvent::Cancelled, AttemptEnd::Cancelled);
    match (outcome, stage) {
        (Outcome::Output(_) | Outcome::ContinueAsNew { .. }, _) => Some(AttemptVerdict { effects: true, ..end }),
        (_, CancelStage::Terminated) => Some(end),
        // It left memory before it was notified. It is notified when it is resumed.
        (Outcome::Suspended, _) => attempt.overran.is_none().then(|| handed_back(attempt.now)),
        // A guest that does not know has undone nothing. Another attempt is notified before it does
        // anything new.
        (Outcome::Failed { .. }, CancelStage::Requested) => None,
        (Outcome::Failed { failure, cause: Cause::Guest }, CancelStage::Notified) => {
            let failed = (failure.code != Code::Cancelled.as_str())
                .then(|| Box::new((FailedPart::Cancellation, failure.clone())));
            Some(AttemptVerdict { effects: true, failed, ..end })
        }
        // A failure of the host is retried within the rest of the grace period.
        (Outcome::Failed { cause: Cause::Host, .. }, CancelStage::Notified) if attempt.overran.is_none() => None,
        (Outcome::Failed { .. }, CancelStage::Notified) => {
            let failure = failure_of(outcome, attempt).0;
            Some(AttemptVerdict { failed: Some(Box::new((FailedPart::Cancellation, failure))), ..end })
        }
    }
}

fn handed_back(now: Timestamp) -> AttemptVerdict {
    AttemptVerdict::of(RunEvent::Requeued { not_before: now }, AttemptEnd::HandedBack)
}

/// Returns the failure of an attempt, and its cause.
fn failure_of(outcome: &Outcome, attempt: AttemptContext<'_>) -> (Failure, Cause) {
    match (outcome, attempt.overran) {
        (_, Some(lifetime)) => {
            let message = format!("the run did not end within `lifetime`, which is {lifetime} ms");
            (Code::LimitLifetime.failure(message), Cause::Limit)
        }
        (Outcome::Failed { failure, cause }, None) => (failure.clone(), *cause),
        // No other outcome is a failure, and none gets here.
        _ => (Code::Internal.failure("the attempt did not fail"), Cause::Host),
    }
}

/// Decides what follows from a failed attempt, by the retry policy.
fn after_failure(failure: &Failure, cause: Cause, attempt: AttemptContext<'_>) -> AttemptVerdict {
    // A run whose lifetime is over has no time left for another attempt.
    let retry = if attempt.overran.is_some() { RunRetry { on_trap: false, ..*attempt.retry } } else { *attempt.retry };
    let trap_or_limit = matches!(cause, Cause::Trap | Cause::Limit);
    let failed =
        FailedAttempt { attempt: attempt.number, retryable: failure.retryable, trap_or_limit, child: attempt.child };
    if cause == Cause::Mismatch || failure.code == Code::LimitGrace.as_str() {
        return give_up(ExhaustionPolicy::Park, failure.clone());
    }
    // The same answers lead to the same failure.
    if attempt.nothing_again && matches!(cause, Cause::Guest | Cause::Trap) {
        return give_up(
            retry.then.unwrap_or(if attempt.child { ExhaustionPolicy::Fail } else { ExhaustionPolicy::Park }),
            failure.clone(),
        );
    }
    // An attempt that an open circuit refused did not take place. It is repeated as soon as the
    // circuit allows.
    let refused = attempt.next.refused && failure.retryable && retry.policy.max_attempts != 1;
    let failed = FailedAttempt { attempt: if refused { 1 } else { failed.attempt }, ..failed };
    match retry.after_failure(failed, attempt.random) {
        AfterFailure::Retry { delay_millis } => {
            let apart = if refused { attempt.random % SPREAD_MILLIS } else { 0 };
            let earliest = attempt.next.not_before.map(|at| at.plus_millis(apart)).unwrap_or_default();
            let not_before = attempt.now.plus_millis(delay_millis).max(earliest);
            let how = if refused { AttemptEnd::Refused } else { AttemptEnd::Retried };
            AttemptVerdict::of(RunEvent::Requeued { not_before }, how)
        }
        AfterFailure::GiveUp { then, exhausted } => {
            give_up(then, if exhausted { failure.exhausted(attempt.number) } else { failure.clone() })
        }
    }
}

fn give_up(then: ExhaustionPolicy, failure: Failure) -> AttemptVerdict {
    match then {
        ExhaustionPolicy::Park => AttemptVerdict::of(RunEvent::Parked(failure), AttemptEnd::Parked),
        ExhaustionPolicy::Fail => AttemptVerdict::of(RunEvent::Failed(failure), AttemptEnd::Failed),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use tidemill_core::retry::RetryPolicy;

    use super::*;

    fn attempt(retry: &RunRetry) -> AttemptContext<'_> {
        AttemptContext {
            number: 1,
            retry,
            child: false,
            cancelled: None,
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
    fn retryable_failures_are_retried_after_the_back_off() {
        let verdict = verdict(&failed(true, Cause::Guest), attempt(&RunRetry::default()));
        assert_eq!(verdict.event, RunEvent::Requeued { not_before: Timestamp::from_millis(2_000) });
        assert!(!verdict.effects);
    }

    #[test]
    fn attempts_refused_by_an_open_circuit_wait_and_do_not_count() {
        let retry = RunRetry::default();
        let until = Timestamp::from_millis(61_000);
        let next = NextAttempt { not_before: Some(until), refused: true };
        let last = AttemptContext { number: 5, next, ..attempt(&retry) };
        let AttemptVerdict { event, how, .. } = verdict(&failed(true, Cause::Guest), last);
        assert_eq!((event, how), (RunEvent::Requeued { not_before: until }, AttemptEnd::Refused));
        let never = RunRetry { policy: RetryPolicy::NEVER, ..retry };
        let verdict = verdict(&failed(true, Cause::Guest), AttemptContext { retry: &never, number: 1, ..last });
        assert!(matches!(verdict.event, RunEvent::Parked(_)), "one attempt is one");
    }

    #[test]
    fn retries_wait_for_the_time_that_the_server_named() {
        let retry = RunRetry::default();
        let until = Timestamp::from_millis(31_000);
        let next = NextAttempt { not_before: Some(until), refused: false };
        let AttemptVerdict { event, how, .. } =
            verdict(&failed(true, Cause::Guest), AttemptContext { next, ..attempt(&retry) });
        assert_eq!((event, how), (RunEvent::Requeued { not_before: until }, AttemptEnd::Retried));
        let early = NextAttempt { not_before: Some(Timestamp::from_millis(1_001)), refused: false };
        let verdict = verdict(&failed(true, Cause::Guest), AttemptContext { next: early, ..attempt(&retry) });
        assert_eq!(verdict.event, RunEvent::Requeued { not_before: Timestamp::from_millis(2_000) });
    }

    #[test]
    fn the_last_attempt_parks_with_the_last_failure_in_its_details() {
        let retry = RunRetry::default();
        let verdict = verdict(&failed(true, Cause::Guest), AttemptContext { number: 5, ..attempt(&retry) });
        let RunEvent::Parked(failure) = verdict.event else { panic!("{verdict:?}") };
        assert_eq!(failure.code, "host/retries-exhausted");
        assert_eq!(serde_json::from_str::<Failure>(&failure.details.unwrap()).unwrap().code, "late");
    }

    #[test]
    fn permanent_failures_park_at_once_with_their_own_code() {
        let retry = RunRetry::default();
        for cause in [Cause::Guest, Cause::Trap, Cause::Limit, Cause::Host] {
            let RunEvent::Parked(failure) = verdict(&failed(false, cause), attempt(&retry)).event else { panic!() };
            assert_eq!(failure.code, "late");
        }
    }

    #[test]
    fn attempts_that_would_repeat_themselves_are_not_retried() {
        let retry = RunRetry { on_trap: true, ..RunRetry::default() };
        let same = AttemptContext { nothing_again: true, ..attempt(&retry) };
        for cause in [Cause::Guest, Cause::Trap] {
            let RunEvent::Parked(failure) = verdict(&failed(true, cause), same).event else { panic!() };
            assert_eq!(failure.code, "late");
        }
        let child = verdict(&failed(true, Cause::Guest), AttemptContext { child: true, ..same });
        assert!(matches!(child.event, RunEvent::Failed(_)));
        // A failure of the host may not recur.
        assert!(matches!(verdict(&failed(true, Cause::Host), same).event, RunEvent::Requeued { .. }));
    }

    #[test]
    fn runs_past_their_lifetime_are_not_retried() {
        let retry = RunRetry { on_trap: true, ..RunRetry::default() };
        let verdict =
            verdict(&failed(true, Cause::Cancelled), AttemptContext { overran: Some(5_000), ..attempt(&retry) });
        let RunEvent::Parked(failure) = verdict.event else { panic!("{verdict:?}") };
        assert_eq!(failure.code, "host/limit-lifetime");
        assert!(failure.message.contains("5000 ms"));
    }

    const STAGES: [Option<CancelStage>; 4] =
        [None, Some(CancelStage::Requested), Some(CancelStage::Notified), Some(CancelStage::Terminated)];

    #[test]
    fn failed_compensations_record_their_failure() {
        let retry = RunRetry::default();
        let known = AttemptContext { cancelled: Some(CancelStage::Notified), ..attempt(&retry) };
        for (cause, effects) in [(Cause::Guest, true), (Cause::Trap, false), (Cause::Limit, false)] {
            let verdict = verdict(&failed(false, cause), known);
            let Some((FailedPart::Cancellation, failure)) = verdict.failed.as_deref() else { panic!("{verdict:?}") };
            assert_eq!((failure.code.as_str(), &verdict.event), ("late", &RunEvent::Cancelled));
            assert_eq!(verdict.effects, effects, "what a guest that returned has done is meant");
        }
        let clean = Outcome::Failed { failure: Code::Cancelled.failure("the run is cancelled"), cause: Cause::Guest };
        let verdict = verdict(&clean, known);
        assert_eq!((verdict.event, verdict.effects, verdict.failed), (RunEvent::Cancelled, true, None));
    }

    #[test]
    fn host_failures_do_not_end_a_compensation() {
        let retry = RunRetry::default();
        let known = AttemptContext { cancelled: Some(CancelStage::Notified), ..attempt(&retry) };
        assert!(matches!(verdict(&failed(true, Cause::Host), known).event, RunEvent::Requeued { .. }));
        let last = verdict(&failed(true, Cause::Host), AttemptContext { number: 5, ..known });
        assert_eq!(last.event, RunEvent::Cancelled);
        assert!(matches!(last.failed.as_deref(), Some((FailedPart::Cancellation, _))));
    }

    #[test]
    fn unnotified_guests_are_notified_by_another_attempt() {
        let retry = RunRetry::default();
        let requested = AttemptContext { cancelled: Some(CancelStage::Requested), ..attempt(&retry) };
        let again = verdict(&failed(true, Cause::Guest), requested);
        assert!(matches!(again.event, RunEvent::Requeued { .. }) && !again.effects);
        // A run that left memory is notified when it resumes.
        let left = verdict(&Outcome::Suspended, requested);
        assert_eq!((left.how, left.effects), (AttemptEnd::HandedBack, false));
        let gave_up = verdict(&failed(false, Cause::Guest), requested);
        assert_eq!((gave_up.event, gave_up.effects), (RunEvent::Cancelled, false));
        assert!(matches!(gave_up.failed.as_deref(), Some((FailedPart::Cancellation, _))));
    }

    proptest! {
        #[test]
        fn only_guests_that_returned_commit_effects(
            number in 1u32..20, retryable in any::<bool>(), on_trap in any::<bool>(), child in any::<bool>(),
            stage in prop::sample::select(STAGES.to_vec()), nothing_again in any::<bool>(), overran in any::<bool>(),
            cause in prop::sample::select(vec![
                None, Some(Cause::Guest), Some(Cause::Trap), Some(Cause::Limit), Some(Cause::Host), Some(Cause::Mismatch),
                Some(Cause::Cancelled),
            ]),
        ) {
            let retry = RunRetry { on_trap, ..RunRetry::default() };
            let outcome = cause.map_or_else(|| Outcome::Output(Bytes::from_static(b"1")), |cause| failed(retryable, cause));
            let overran = overran.then_some(5_000);
            let attempt = AttemptContext { number, child, cancelled: stage, nothing_again, overran, ..attempt(&retry) };
            let verdict = verdict(&outcome, attempt);
            let returned = cause.is_none() || (cause == Some(Cause::Guest) && stage == Some(CancelStage::Notified));
            prop_assert_eq!(verdict.effects, returned);
            let ended = matches!(verdict.event, RunEvent::Cancelled | RunEvent::Requeued { .. });
            prop_assert!(stage.is_none() || ended, "a cancelled run is neither parked nor failed: {:?}", verdict);
            let silent = stage == Some(CancelStage::Terminated) || cause.is_none();
            prop_assert_eq!(verdict.failed.is_some(), !silent, "a failure leaves a trace: {:?}", verdict);
        }
    }
}
