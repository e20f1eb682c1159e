//! The period and the result of a collection of a revenue stream.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A half-open period: it includes its start and excludes its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The end of the last successful collection.
    pub start: Timestamp,
    /// The nominal time of the firing.
    pub end: Timestamp,
}

impl Period {
    /// Whether a time is in the period.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// The result of a collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Collection {
    /// The number of entries posted to the ledger.
    pub posted: u64,
    /// The number of entries that the ledger already had.
    pub duplicates: u64,
    /// Further data, shown with the run.
    pub details: Value,
}
