//! Closed periods.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

/// A period whose statement does not change any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedPeriod {
    /// Its name, such as `2026-10`.
    pub name: String,
    /// Its time zone.
    pub time_zone: String,
    /// Its start, inclusive.
    pub start: Timestamp,
    /// Its end, exclusive.
    pub end: Timestamp,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// The sequence number of the last entry at that time.
    pub sequence: u64,
}
