//! The stored ledger: entries with two legs each, totals, and the check that recomputes the totals.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use super::Version;

/// One side of a posting: an amount added to an account, or taken from it if negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLeg {
    /// The account within the stream, such as `revenue` or `receivable`.
    pub account: String,
    /// The amount, in minor units of the entry's currency.
    pub minor_units: i64,
}

/// A stored entry of the ledger; immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its id, derived from the run and the position in it; sorts by the time of the run.
    pub id: String,
    /// The stream it belongs to.
    pub stream: DeploymentName,
    /// The run that posted it.
    pub run: RunId,
    /// The provider's own id; unique in the stream.
    pub external_id: String,
    /// The kind, such as `sale` or `usage`.
    pub kind: String,
    /// The amount, in minor units of `currency`.
    pub minor_units: i64,
    /// ISO 4217, or a unit that the operator declared.
    pub currency: String,
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// When the sale or other event occurred.
    pub occurred_at: Timestamp,
    /// When it was committed.
    pub posted_at: Timestamp,
    /// The customer, if there is one.
    pub customer: Option<String>,
    /// A description for people.
    pub description: String,
    /// The text of a JSON value.
    pub metadata: String,
    /// Its two legs, which sum to zero.
    pub legs: Vec<LedgerLeg>,
    /// A hash of everything that the guest reported. The same external id with another fingerprint
    /// is an error.
    pub fingerprint: [u8; 16],
}

/// A new entry, in the commit of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPosting {
    /// The complete entry.
    pub entry: LedgerEntry,
}

/// The record of an external id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// The entry's id; `None` if the external id is free.
    pub posting: Option<String>,
    /// The fingerprint of the entry.
    pub fingerprint: [u8; 16],
    /// The version, for the check of a commit.
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

/// The net revenue of a stream in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotal {
    /// The stream.
    pub stream: DeploymentName,
    /// The currency.
    pub currency: String,
    /// Net revenue in minor units.
    pub net_revenue: i128,
    /// The number of entries in the sum.
    pub entries: u64,
}

/// The result of recomputing the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCheck {
    /// The number of entries read.
    pub entries: u64,
    /// The number of totals compared.
    pub totals: u64,
    /// A description of each difference, at most 100; empty if the ledger is consistent.
    pub problems: Vec<String>,
}
