//! What a revenue stream is asked, and what it answers.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A half-open span of time: its start belongs to it, its end does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// Where the last successful collection ended.
    pub start: Timestamp,
    /// The nominal time of the firing.
    pub end: Timestamp,
}

impl Period {
    /// Whether a time lies in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// What a collection brought in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Collection {
    /// How many ledger entries were posted.
    pub posted: u64,
    /// How many were known already.
    pub duplicates: u64,
    /// Anything more, shown with the run.
    pub details: Value,
}
