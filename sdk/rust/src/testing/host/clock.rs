//! `clock`: moves the clock over waits.

use super::current;
use super::types::Failure as WitFailure;

pub(crate) fn now() -> u64 {
    let fake = current();
    fake.call("clock.now", "", || fake.now())
}

pub(crate) fn sleep(span: u64) -> Result<(), WitFailure> {
    let fake = current();
    let slept = fake.fallible("clock.sleep", &span.to_string(), || fake.wait_until(fake.now().saturating_add(span)));
    // A retry keeps an ended sleep.
    fake.keep();
    slept.map_err(WitFailure::from)
}

pub(crate) fn sleep_until(at: u64) -> Result<(), WitFailure> {
    let fake = current();
    let slept = fake.fallible("clock.sleep", &format!("until {at}"), || fake.wait_until(at));
    fake.keep();
    slept.map_err(WitFailure::from)
}
