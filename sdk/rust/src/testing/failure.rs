//! Failures between a module and the harness, converted as a host converts them.

use crate::bindings::imports::tidemill::guest::types::Failure as WitFailure;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tidemill_core::{Code, Failure};

thread_local! {
    /// The codes of the host that calls have returned to the current guest.
    static ANSWERED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

pub(super) fn cancelled() -> Failure {
    Code::Cancelled.failure("the run is being cancelled")
}

pub(super) fn is_cancelled(failure: &Failure) -> bool {
    failure.code == Code::Cancelled.as_str()
}

/// Converts a failure that the module returned.
pub(super) fn of_module(failure: WitFailure) -> Failure {
    of_wit(failure).from_guest(|code| was_answered(code.as_str()))
}

/// Converts a failure that a test lets the host return.
pub(super) fn of_wit(failure: WitFailure) -> Failure {
    let WitFailure { code, message, retryable, details } = failure;
    Failure { code, message, retryable, details }
}

/// Whether a call has returned a code of the host to the current guest.
pub(super) fn was_answered(code: &str) -> bool {
    ANSWERED.with_borrow(|answered| answered.contains(code))
}

/// Calls `instance` with an empty set of returned codes.
pub(super) fn with_no_answers<T>(instance: impl FnOnce() -> T) -> T {
    let before = ANSWERED.take();
    let returned = instance();
    ANSWERED.set(before);
    returned
}

impl From<Failure> for WitFailure {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, details } = failure;
        if code.starts_with("host/") {
            ANSWERED.with_borrow_mut(|answered| answered.insert(code.clone()));
        }
        Self { code, message, retryable, details }
    }
}
