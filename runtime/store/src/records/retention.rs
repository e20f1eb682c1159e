//! What is forgotten by policy.

use tidemill_core::{ComponentDigest, Timestamp};

/// What may be forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Runs that ended before, with all that lies beside them, and operations. A child stays while the run that started it has not ended;
    /// ledger entries stay for ever.
    pub ended_before: Option<Timestamp>,
    /// Components that were uploaded before, and that no revision of a deployment and no run names.
    pub uploaded_before: Option<Timestamp>,
}

/// What was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionResult {
    /// How many runs.
    pub runs: usize,
    /// Which components: their bytes lie beside the store and may be removed.
    pub components: Vec<ComponentDigest>,
    /// Whether there may be more to forget now.
    pub more: bool,
}
