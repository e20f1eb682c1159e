//! What a scrub found: all that is kept was read and is what was acknowledged.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

/// A scrub that found everything sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// When it began.
    pub at: Timestamp,
    /// How many records it verified.
    pub records: u64,
    /// Their bytes, keys included.
    pub bytes: u64,
}
