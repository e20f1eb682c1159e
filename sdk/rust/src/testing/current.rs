//! The run that a thread executes. Host calls of the thread are directed to it.

use super::run::Fake;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The run that this thread executes, on top of the runs that wait for it.
    static RUNS: RefCell<Vec<Rc<Fake>>> = const { RefCell::new(Vec::new()) };
}

/// Directs the host calls of this thread to a run until it is dropped.
pub(super) struct Current;

impl Current {
    pub(super) fn of(fake: Rc<Fake>) -> Self {
        RUNS.with_borrow_mut(|runs| runs.push(fake));
        Self
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        RUNS.with_borrow_mut(Vec::pop);
    }
}

/// Returns the current run.
#[allow(clippy::panic, reason = "a test without a harness cannot continue")]
pub(super) fn current() -> Rc<Fake> {
    match RUNS.with_borrow(|runs| runs.last().cloned()) {
        Some(fake) => fake,
        None => panic!("a host call outside a component: run it with `tidemill_sdk::testing::Harness`"),
    }
}
