//! Decides what the end of an attempt shows about its deployment, for breaker and health. The
//! decision is pure, so that tests need no run.
//!
//! Only what the deployment itself causes counts as failed: a trap, a limit, a replay that differs,
//! and a failure that the guest returns as retryable, which means that the same input may succeed
//! later. A failure that is not retryable is an answer to the input: the module works, and a caller
//! with bad input must not stop the work of others. What the host, an operator or the open circuit
//! of an origin causes shows nothing.

use tidemill_core::Code;
use tidemill_engine::{Cause, NextAttempt, Outcome};

use crate::deployment::breaker::AttemptEvidence;
use crate::metrics::AttemptEnd;

/// Returns what an attempt shows; `None` if it shows nothing. `how` is how it ended, `cancelled` is
/// whether a cancellation of its run was requested, and `overran` is whether the run's lifetime was
/// over.
pub(crate) fn evidence(
    outcome: &Outcome,
    how: AttemptEnd,
    cancelled: bool,
    overran: bool,
    next: NextAttempt,
) -> Option<AttemptEvidence> {
    // A lifetime includes waits for signals and other runs.
    if cancelled || overran || matches!(how, AttemptEnd::Refused | AttemptEnd::HandedBack | AttemptEnd::Cancelled) {
        return None;
    }
    match outcome {
        Outcome::Output(_) | Outcome::ContinueAsNew { .. } => Some(AttemptEvidence::Worked),
        Outcome::Failed { failure, cause } => match cause {
            Cause::Limit if failure.code == Code::LimitGrace.as_str() => None,
            Cause::Trap | Cause::Limit | Cause::Mismatch => Some(AttemptEvidence::Failed),
            Cause::Guest if next.refused => None,
            Cause::Guest if failure.retryable => Some(AttemptEvidence::Failed),
            Cause::Guest => Some(AttemptEvidence::Worked),
            Cause::Host | Cause::Cancelled => None,
        },
        Outcome::Suspended => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidemill_core::Failure;

    use super::*;

    const ENDS: [AttemptEnd; 4] = [AttemptEnd::Succeeded, AttemptEnd::Failed, AttemptEnd::Parked, AttemptEnd::Retried];

    fn failed(cause: Cause, retryable: bool) -> Outcome {
        Outcome::Failed { failure: Failure { retryable, ..Failure::new("late", "too late") }, cause }
    }

    fn of(outcome: &Outcome, how: AttemptEnd) -> Option<AttemptEvidence> {
        evidence(outcome, how, false, false, NextAttempt::default())
    }

    #[test]
    fn only_what_the_deployment_causes_counts_as_failed() {
        for how in ENDS {
            for cause in [Cause::Trap, Cause::Limit, Cause::Mismatch] {
                assert_eq!(of(&failed(cause, false), how), Some(AttemptEvidence::Failed), "{cause:?}");
            }
            assert_eq!(of(&failed(Cause::Guest, true), how), Some(AttemptEvidence::Failed));
            for cause in [Cause::Host, Cause::Cancelled] {
                assert_eq!(of(&failed(cause, true), how), None, "{cause:?}");
            }
        }
    }

    #[test]
    fn an_answer_to_bad_input_shows_that_the_module_works() {
        assert_eq!(of(&failed(Cause::Guest, false), AttemptEnd::Parked), Some(AttemptEvidence::Worked));
        let output = Outcome::Output(Bytes::from_static(b"1"));
        assert_eq!(of(&output, AttemptEnd::Succeeded), Some(AttemptEvidence::Worked));
    }

    #[test]
    fn cancelled_refused_and_returned_attempts_show_nothing() {
        let trap = failed(Cause::Trap, false);
        for how in [AttemptEnd::Refused, AttemptEnd::HandedBack, AttemptEnd::Cancelled] {
            assert_eq!(of(&trap, how), None);
        }
        let none = NextAttempt::default();
        assert_eq!(evidence(&trap, AttemptEnd::Failed, true, false, none), None);
        assert_eq!(evidence(&trap, AttemptEnd::Failed, false, true, none), None);
        assert_eq!(of(&Outcome::Suspended, AttemptEnd::HandedBack), None);
        let refused = NextAttempt { refused: true, ..none };
        let circuit = failed(Cause::Guest, true);
        assert_eq!(evidence(&circuit, AttemptEnd::Parked, false, false, refused), None, "its policy has one attempt");
    }
}
