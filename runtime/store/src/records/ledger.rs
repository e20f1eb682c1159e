//! The ledger as it is stored: entries with their two legs, totals, and the check that recomputes them.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use super::Version;

/// One side of a posting: an amount that goes to an account, or comes from it where it is negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLeg {
    /// The account within the stream, such as `revenue` or `receivable`.
    pub account: String,
    /// In minor units of the entry's currency.
    pub minor_units: i64,
}

/// An entry as the ledger wrote it; immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its id, made from the run and the position in it; sorts by the time of the run.
    pub id: String,
    /// The stream it belongs to.
    pub stream: DeploymentName,
    /// The run that posted it.
    pub run: RunId,
    /// The provider's own id; unique in the stream.
    pub external_id: String,
    /// What it was: `sale`, `usage`, ….
    pub kind: String,
    /// Its size, in minor units of `currency`.
    pub minor_units: i64,
    /// ISO 4217, or a unit that the operator declared.
    pub currency: String,
    /// What it adds to net revenue, in minor units.
    pub net_revenue: i64,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was committed.
    pub posted_at: Timestamp,
    /// The customer, where there is one.
    pub customer: Option<String>,
    /// For people.
    pub description: String,
    /// The text of a JSON value.
    pub metadata: String,
    /// Its two legs, which sum to zero.
    pub legs: Vec<LedgerLeg>,
    /// A hash of all that the guest said of it: the same external id with another one is an error.
    pub fingerprint: [u8; 16],
}

/// An entry on its way into the ledger, in the commit of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPosting {
    /// The entry, whole.
    pub entry: LedgerEntry,
}

/// What is known under an external id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// The entry's id; none where the id is free.
    pub posting: Option<String>,
    /// What the guest said of it.
    pub fingerprint: [u8; 16],
    /// For the commit's check.
    pub version: Version,
}

/// The balance of one account of a stream in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTotal {
    /// The stream.
    pub stream: DeploymentName,
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// The sum of its legs, in minor units.
    pub minor_units: i128,
}

/// What a stream earned in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotal {
    /// The stream.
    pub stream: DeploymentName,
    /// The currency.
    pub currency: String,
    /// Net revenue in minor units.
    pub net_revenue: i128,
    /// Entries that it sums.
    pub entries: u64,
}

/// What recomputing the ledger found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCheck {
    /// Entries read.
    pub entries: u64,
    /// Totals compared.
    pub totals: u64,
    /// Every difference, in words; empty is good. At most 100.
    pub problems: Vec<String>,
}
