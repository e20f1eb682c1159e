//! The run's clock. Its time never runs backwards, and is the same again when the run is brought back; `std::time` shows
//! the same clock.

use crate::host::clock as host;
use crate::time::{Timestamp, to_millis};
use crate::{Error, Result};
use std::time::Duration;

/// What time it is.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(host::now())
}

/// Waits. A run that sleeps for a week holds no memory meanwhile, and survives the host's restart.
///
/// # Errors
/// `host/wait-in-step` inside a step, `host/cancelled` once the run is to end, `host/not-available` where the host does
/// not do this yet.
pub fn sleep(span: Duration) -> Result<()> {
    host::sleep(to_millis(span)).map_err(Error::from_failure)
}

/// Waits until a time; not at all where it has passed.
///
/// # Errors
/// As [`sleep`].
pub fn sleep_until(at: Timestamp) -> Result<()> {
    host::sleep_until(at.as_millis()).map_err(Error::from_failure)
}
