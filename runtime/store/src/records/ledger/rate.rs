//! Exchange rates that the operator gives.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

/// A rate of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateRecord {
    /// The day, such as `2026-10-05`.
    pub day: String,
    /// The currency that is converted.
    pub from: String,
    /// The currency into which it is converted.
    pub to: String,
    /// How much of `to` one unit of `from` is, as decimal text.
    pub rate: String,
    /// Who published the rate.
    pub source: String,
    /// When it was set.
    pub set_at: Timestamp,
}
