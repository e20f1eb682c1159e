//! A stored entry of the ledger, its legs and its evidence.

use serde::{Deserialize, Serialize};
use tidemill_core::money::balance::GrantPart;
use tidemill_core::money::{ContentHash, EntryCall, LedgerStream, Leg};
use tidemill_core::{ComponentDigest, RunId, Timestamp};

use crate::records::Version;

/// One side of an entry: an amount added to an account, or taken from it if negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLeg {
    /// The account within the stream, such as `sales` or `receivable`.
    pub account: String,
    /// The amount, in minor units of the entry's currency.
    pub minor_units: i64,
}

impl From<Leg> for LedgerLeg {
    fn from(leg: Leg) -> Self {
        Self { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units }
    }
}

/// A stored entry of the ledger; immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its number, from 1; dense over the whole ledger.
    pub sequence: u64,
    /// SHA-256 of the previous entry's hash and the canonical bytes of this entry.
    pub hash: [u8; 32],
    /// Its id. That of a run's entry is derived from the run and the position in it; that of
    /// another entry is `entry-` and the sequence number.
    pub id: String,
    /// The stream it belongs to.
    pub stream: LedgerStream,
    /// The run that posted it; `None` if the host or a person did.
    pub run: Option<RunId>,
    /// The provider's own id, or the host's; unique in the stream for ever.
    pub external_id: String,
    /// The call that made it.
    pub call: EntryCall,
    /// The kind, such as `sale` or `usage`.
    pub kind: String,
    /// The amount, in minor units of `currency`. That of a reservation is the reserved amount; that
    /// of a settlement is the settled amount.
    pub minor_units: i64,
    /// ISO 4217, or a unit that the operator declared.
    pub currency: String,
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// When the sale or other event occurred.
    pub occurred_at: Timestamp,
    /// When it was committed. Does not decrease with the sequence number.
    pub posted_at: Timestamp,
    /// The customer, if there is one.
    pub customer: Option<String>,
    /// A description for people.
    pub description: String,
    /// The text of a JSON value.
    pub metadata: String,
    /// The external id that the entry answers, such as a refund its sale.
    pub of: Option<String>,
    /// The posted legs, which sum to zero; empty if the entry changes pending amounts only.
    pub legs: Vec<LedgerLeg>,
    /// The pending legs, which sum to zero; empty if the entry is not about a reservation.
    pub pending: Vec<LedgerLeg>,
    /// The id of the reservation that this entry settles, voids or expires.
    pub reservation: Option<String>,
    /// When the reservation that this entry makes expires; `None` if it never does.
    pub expires_at: Option<Timestamp>,
    /// The parts of the customer's grants that the entry takes or returns.
    pub parts: Vec<GrantPart>,
    /// What the entry was made from.
    pub evidence: Evidence,
    /// Whether the entry belongs to a period that was closed before it was posted.
    pub late: bool,
    /// Whether the stream is on paper: no total includes it unless it is asked for.
    pub paper: bool,
    /// Hash of the content. The same external id with other content is a conflict.
    pub content: ContentHash,
}

impl LedgerEntry {
    /// The time at which reports count the entry: when it occurred, or when it was posted if it is
    /// late, because its own period is closed.
    #[must_use]
    pub const fn booked_at(&self) -> Timestamp {
        if self.late { self.posted_at } else { self.occurred_at }
    }

    /// The amount that the entry posts, in minor units; 0 if it changes pending amounts only.
    #[must_use]
    pub const fn posted_units(&self) -> i64 {
        if self.legs.is_empty() { 0 } else { self.minor_units }
    }

    /// The change of the pending amount of the entry's kind, in minor units: what a reservation
    /// adds, and what its settlement, void or expiry takes away.
    #[must_use]
    pub fn pending_units(&self) -> i64 {
        // The second leg is the side that receives.
        self.pending.get(1).map_or(0, |leg| leg.minor_units)
    }
}

/// What an entry was made from. The host fills it, not the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The component that posted the entry.
    pub component: Option<ComponentDigest>,
    /// The id of the delivery that the run processed.
    pub delivery: Option<String>,
    /// The SHA-256 of each HTTP answer that the transaction read before the entry, in order.
    pub responses: Vec<[u8; 32]>,
    /// Who made the entry by hand, and why.
    pub by_hand: Option<HandEntry>,
}

impl Evidence {
    /// Whether nothing but the guest's word supports the entry: neither a delivery nor an answer.
    #[must_use]
    pub const fn is_asserted(&self) -> bool {
        self.delivery.is_none() && self.responses.is_empty()
    }
}

/// The author of an entry by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandEntry {
    /// Who made it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// The record of an external id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalId {
    /// The entry's id; `None` if the external id is free.
    pub posting: Option<String>,
    /// The sequence number of the entry; 0 if the external id is free.
    pub sequence: u64,
    /// The amount of the entry, in minor units; that of a partial draw is what it took.
    pub minor_units: i64,
    /// The content of the entry.
    pub content: ContentHash,
    /// The version, for the check of a commit.
    pub version: Version,
}
