//! The end of the chain, the stored units, and the result of the ledger's check.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

use super::FindingCount;

/// The last entry of the ledger. A copy of it in another place proves later that no entry up to it
/// was changed or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Its sequence number; 0 if the ledger is empty.
    pub sequence: u64,
    /// Its hash; zeros if the ledger is empty.
    pub hash: [u8; 32],
    /// When it was posted.
    pub posted_at: Timestamp,
}

/// A unit with the number of decimal places that its entries were posted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUnit {
    /// Its code.
    pub code: String,
    /// Its number of decimal places.
    pub exponent: u8,
}

/// A stored unit that the host does not know, or knows with another number of decimal places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitConflict {
    /// The stored unit.
    pub stored: LedgerUnit,
    /// What the host would use; `None` if it does not know the unit.
    pub given: Option<u8>,
}

/// The result of recomputing the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCheck {
    /// The number of entries read.
    pub entries: u64,
    /// The number of totals and buckets compared.
    pub totals: u64,
    /// The last entry that was read.
    pub head: LedgerHead,
    /// The sequence number of the first entry that is wrong; `None` if every entry is right.
    pub first_wrong: Option<u64>,
    /// A description of each difference, at most 100; empty if the ledger is consistent.
    pub problems: Vec<String>,
    /// The open findings, by kind.
    pub findings: Vec<FindingCount>,
}
