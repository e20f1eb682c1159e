//! The entries of a schedule's firing list. Regular firings are not listed.

use serde::{Deserialize, Serialize};
use tidemill_core::{RunId, Timestamp};

use super::added;

/// The result of irregular firings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FiringFate {
    /// They created no run, because earlier runs had not ended.
    Skipped,
    /// They created no run, because there was no room to wait.
    Dropped,
    /// They were executed late.
    Late,
    /// Their time passed while the host was down, and they were not caught up.
    Missed,
    /// Their time passed while the schedule was paused.
    Paused,
}

impl FiringFate {
    /// Returns its name in the API and on the feed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Dropped => "dropped",
            Self::Late => "late",
            Self::Missed => "missed",
            Self::Paused => "paused",
        }
    }
}

/// Firings of one schedule with the same result in one tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringEntry {
    /// The result.
    pub fate: FiringFate,
    /// The reason, as a code.
    pub code: String,
    /// The nominal time of the first firing.
    pub first: Timestamp,
    /// The nominal time of the last firing.
    pub last: Timestamp,
    /// The number of firings.
    pub count: u64,
    /// When the entry was written.
    pub seen: Timestamp,
    /// The run that blocked them; for late firings, the last run that they created.
    pub run: Option<RunId>,
    /// The operation, if they belong to a backfill.
    pub operation: Option<String>,
    /// Whether there are more firings between the first and the last than were counted.
    #[serde(default, deserialize_with = "added")]
    pub more: bool,
}
