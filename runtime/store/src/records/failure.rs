//! The failures of a run, in the order in which they happened.

use serde::{Deserialize, Serialize};
use tidemill_core::{Failure, Timestamp};

/// Maximum number of stored failures of one run: its first 16 and its newest 16.
pub const FAILURES_OF_RUN: usize = 32;
/// Maximum size of the message of a stored failure, in bytes. A longer message is truncated.
pub const FAILURE_MESSAGE_BYTES: usize = 2 << 10;
/// Maximum size of the details of a stored failure, in bytes. Longer details are dropped.
pub const FAILURE_DETAILS_BYTES: usize = 8 << 10;
/// Maximum size of the step path of a stored failure, in bytes. A longer path is truncated.
pub const FAILURE_STEP_BYTES: usize = 512;

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedPart {
    /// An attempt of a step.
    Step {
        /// The step's path: names from the outside in, as the journal shows it.
        path: String,
        /// The attempt of the step, from 1.
        attempt: u32,
    },
    /// An attempt of the run.
    Attempt,
    /// The work of a run after its cancellation. The run is `cancelled`, and a person must check
    /// it.
    Cancellation,
}

/// One failure of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// When it happened, by the run's clock.
    pub at: Timestamp,
    /// The attempt of the run, from 1.
    pub attempt: u32,
    /// What failed.
    pub part: FailedPart,
    /// The failure.
    pub failure: Failure,
}

impl FailureRecord {
    /// Truncates the record to its limits.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.failure.message, FAILURE_MESSAGE_BYTES);
        self.failure.details = self.failure.details.filter(|details| details.len() <= FAILURE_DETAILS_BYTES);
        if let FailedPart::Step { path, .. } = &mut self.part {
            cut(path, FAILURE_STEP_BYTES);
        }
        self
    }
}

fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

/// A failure with its number among those of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedFailure {
    /// The number, from 1. A gap shows that failures between the first and the newest ones were
    /// dropped.
    pub number: u64,
    /// The failure.
    pub record: FailureRecord,
}
