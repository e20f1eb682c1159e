//! Retention: what a policy deletes, and the result.

use tidemill_core::{ComponentDigest, Timestamp};

/// Selects the data to delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Runs that ended before this time, with all their rows, and operations. A child stays while
    /// its parent has not ended. Ledger entries are never deleted, and the journal of a run that is
    /// evidence of entries goes at a time of its own.
    pub ended_before: Option<Timestamp>,
    /// Components that were uploaded before this time and that no revision and no run refers to.
    pub uploaded_before: Option<Timestamp>,
}

/// The result of applying a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionResult {
    /// The number of deleted runs.
    pub runs: usize,
    /// The deleted components. Their bytes are files outside the store and may be removed.
    pub components: Vec<ComponentDigest>,
    /// Whether there may be more to delete now.
    pub more: bool,
}

/// The removal of evidence whose time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredEvidence {
    /// The number of journals and deliveries that are gone.
    pub removed: usize,
    /// Whether there is more to remove now.
    pub more: bool,
}
