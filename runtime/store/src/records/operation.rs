//! Operations: one action on many runs, which goes on in the background and survives a restart.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

use super::RunFilter;

/// What is done to each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tried again.
    Retry,
    /// Told to end.
    Cancel,
    /// Ended at once.
    Terminate,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// It has runs before it.
    Running,
    /// It is through.
    Done,
}

/// One action on all runs that a filter finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, of 1 to 63 bytes; sorts by age where its maker wants lists to.
    pub id: String,
    /// What is done,
    pub action: Action,
    /// and to which runs.
    pub filter: RunFilter,
    /// Runs that the filter found so far.
    pub matched: u64,
    /// Runs to which it was done.
    pub done: u64,
    /// Runs that were in no state for it any more.
    pub failed: u64,
    /// Where the list of runs goes on.
    pub cursor: Option<Vec<u8>>,
    /// Where it stands.
    pub state: OperationState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was through.
    pub ended_at: Option<Timestamp>,
}
