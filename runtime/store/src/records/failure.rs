//! The failures of a run, in the order in which they happened.

use serde::{Deserialize, Serialize};
use tidemill_core::{Failure, Timestamp};

/// Failures that are kept of one run: its first 16 and its newest 16.
pub const FAILURES_OF_RUN: usize = 32;
/// The longest message of a kept failure, in bytes; what is longer is cut.
pub const FAILURE_MESSAGE_BYTES: usize = 2 << 10;
/// The longest details of a kept failure, in bytes; longer ones are left out.
pub const FAILURE_DETAILS_BYTES: usize = 8 << 10;
/// The longest step path of a kept failure, in bytes; what is longer is cut.
pub const FAILURE_STEP_BYTES: usize = 512;

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedPart {
    /// An attempt of a step.
    Step {
        /// The step's path: names from the outside in, as the journal shows it.
        path: String,
        /// The attempt of the step; counts from 1.
        attempt: u32,
    },
    /// An attempt of the run.
    Attempt,
    /// What the run did to end after it was cancelled. Such a run is `cancelled`, and a person has to look at it.
    Cancellation,
}

/// One failure of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// When it happened, by the run's clock.
    pub at: Timestamp,
    /// The run's attempt; counts from 1.
    pub attempt: u32,
    /// What failed.
    pub part: FailedPart,
    /// Why.
    pub failure: Failure,
}

impl FailureRecord {
    /// The record within its bounds.
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

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate((0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    }
}

/// A failure with its place among those of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedFailure {
    /// Counts from 1. A gap shows that failures between the first and the newest were dropped.
    pub number: u64,
    /// The failure.
    pub record: FailureRecord,
}
