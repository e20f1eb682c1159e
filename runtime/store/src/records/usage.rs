//! The usage of the store by deployments.

use serde::{Deserialize, Serialize};

/// What one deployment stores. Each commit updates it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The number of run records, ended ones included.
    pub runs: u64,
    /// Keys and values of its state, in bytes.
    pub state_bytes: u64,
    /// Inputs, outputs, journals, signals and events, in bytes.
    pub payload_bytes: u64,
    /// Log lines, in bytes as they are stored.
    pub log_bytes: u64,
    /// The number of stored events that its runs published.
    pub events: u64,
    /// The number of topics that its runs created.
    pub topics: u64,
}
