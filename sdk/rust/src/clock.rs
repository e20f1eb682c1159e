//! The run's clock. Its time never decreases, and replay returns the recorded times. `std::time`
//! shows the same clock.

use crate::host::clock as host;
use crate::time::{Timestamp, to_millis};
use crate::{Error, Result};
use std::time::Duration;

/// Returns the current time.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(host::now())
}

/// Sleeps for a duration. The sleep continues after a restart of the host. A long sleep needs no
/// memory.
///
/// # Errors
/// `host/wait-in-step` inside a step, `host/cancelled` if the run is being cancelled,
/// `host/not-available` if the host does not implement it.
pub fn sleep(span: Duration) -> Result<()> {
    host::sleep(to_millis(span)).map_err(Error::from_failure)
}

/// Sleeps until a time. Returns at once if the time has passed.
///
/// # Errors
/// As [`sleep`].
pub fn sleep_until(at: Timestamp) -> Result<()> {
    host::sleep_until(at.as_millis()).map_err(Error::from_failure)
}
