//! Firings that did not go as usual, as a schedule's list keeps them.

use serde::{Deserialize, Serialize};
use tidemill_core::{RunId, Timestamp};

use super::added;

/// What became of firings that did not go as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FiringFate {
    /// They made no run, because of runs that had not ended.
    Skipped,
    /// They made no run, because there was no room to wait.
    Dropped,
    /// They were carried out, later than they should.
    Late,
    /// Their time passed while the host was down, and they were not made up for.
    Missed,
    /// Their time passed while the schedule was paused.
    Paused,
}

impl FiringFate {
    /// Its name in the API and the feed.
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

/// Firings of one schedule that met the same fate in one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringEntry {
    /// What became of them.
    pub fate: FiringFate,
    /// Why, as a code.
    pub code: String,
    /// The nominal time of the first,
    pub first: Timestamp,
    /// and of the last of them.
    pub last: Timestamp,
    /// How many they are.
    pub count: u64,
    /// When that was seen.
    pub seen: Timestamp,
    /// The run that was in the way; of late ones, the last run that they made.
    pub run: Option<RunId>,
    /// The operation that asked for them, where it was a backfill.
    pub operation: Option<String>,
    /// Whether there are more of them between the first and the last than were counted.
    #[serde(default, deserialize_with = "added")]
    pub more: bool,
}
