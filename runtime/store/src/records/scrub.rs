//! The result of a scrub: all stored data was read and equals what was acknowledged.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

/// A scrub that found no damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// When the scrub was requested; for a scrub of the index alone, when its result was recorded.
    pub at: Timestamp,
    /// The number of verified records.
    pub records: u64,
    /// Their size, in bytes, including keys.
    pub bytes: u64,
}
