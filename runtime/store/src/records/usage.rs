//! What a deployment keeps.

use serde::{Deserialize, Serialize};

/// What one deployment keeps in the store: counted in the commits that change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Records of runs, ended ones included.
    pub runs: u64,
    /// Keys and values of its state, in bytes.
    pub state_bytes: u64,
    /// Inputs, outputs, journals, signals and events, in bytes.
    pub payload_bytes: u64,
    /// Log lines, in bytes as they are stored.
    pub log_bytes: u64,
    /// Events that its runs have published and that are kept.
    pub events: u64,
    /// Topics that its runs have begun.
    pub topics: u64,
}
