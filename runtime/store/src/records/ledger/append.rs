//! Entries to be committed.

use serde::{Deserialize, Serialize};
use tidemill_core::budget::BudgetCounter;
use tidemill_core::money::balance::BalanceEffect;
use tidemill_core::money::{Account, ContentHash, EntryCall, EntryKind, LedgerStream};
use tidemill_core::{RunId, Timestamp};

use super::{Evidence, FloorAccount, LedgerEntry, LedgerLeg};

/// An entry in the commit of a transaction. The commit adds the sequence number, the hash, the time
/// of posting and what depends on the state of the ledger at that point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEntry {
    /// Its id; empty if the commit shall name it by its sequence number.
    pub id: String,
    /// See [`LedgerEntry::stream`].
    pub stream: LedgerStream,
    /// See [`LedgerEntry::run`].
    pub run: Option<RunId>,
    /// See [`LedgerEntry::external_id`].
    pub external_id: String,
    /// See [`LedgerEntry::call`].
    pub call: EntryCall,
    /// See [`LedgerEntry::kind`].
    pub kind: String,
    /// See [`LedgerEntry::minor_units`].
    pub minor_units: i64,
    /// See [`LedgerEntry::currency`].
    pub currency: String,
    /// Number of decimal places of the currency, which is stored with the first entry of the
    /// currency; `None` if it is not known.
    pub exponent: Option<u8>,
    /// See [`LedgerEntry::net_revenue`].
    pub net_revenue: i64,
    /// See [`LedgerEntry::occurred_at`].
    pub occurred_at: Timestamp,
    /// See [`LedgerEntry::customer`].
    pub customer: Option<String>,
    /// See [`LedgerEntry::description`].
    pub description: String,
    /// See [`LedgerEntry::metadata`].
    pub metadata: String,
    /// See [`LedgerEntry::of`].
    pub of: Option<String>,
    /// See [`LedgerEntry::legs`].
    pub legs: Vec<LedgerLeg>,
    /// See [`LedgerEntry::pending`]. Those of a settlement or void are the reservation's, negated.
    pub pending: Vec<LedgerLeg>,
    /// See [`LedgerEntry::reservation`].
    pub reservation: Option<String>,
    /// See [`LedgerEntry::expires_at`].
    pub expires_at: Option<Timestamp>,
    /// See [`LedgerEntry::evidence`].
    pub evidence: Evidence,
    /// Whether the stream is on paper. The first entry of a stream decides it for all later ones.
    pub paper: bool,
    /// How long after its expiry a grant that this entry makes covers usage from before, in
    /// milliseconds.
    pub late_usage_millis: u64,
    /// The floor that the manifest gives customers in the currency, in minor units; `None` if it
    /// is not known. An entry that was posted is never refused for it, but becomes a finding.
    pub customer_floor: Option<i64>,
    /// See [`LedgerEntry::content`].
    pub content: ContentHash,
}

impl NewEntry {
    /// Returns the accounts that may have a floor and that the entry may move.
    pub fn floor_accounts(&self) -> impl Iterator<Item = FloorAccount> + use<'_> {
        let moves = || EntryKind::parse(&self.kind).and_then(BalanceEffect::of_kind).is_some();
        let customer = self.customer.clone().filter(|customer| !customer.is_empty() && moves());
        let legs = || self.legs.iter().chain(&self.pending);
        let of_stream = [Account::Receivable, Account::Bank].into_iter();
        let of_stream = of_stream.filter(move |account| legs().any(|leg| leg.account == account.as_str()));
        let of_stream = of_stream.map(|account| FloorAccount::Stream(account.as_str().to_owned()));
        customer.map(FloorAccount::Customer).into_iter().chain(of_stream)
    }

    /// Returns whether budgets count the entry.
    #[must_use]
    pub fn is_counted_in_budgets(&self) -> bool {
        EntryKind::parse(&self.kind).is_some_and(|kind| BudgetCounter::of_entry(kind, 0, 0).is_some())
    }

    /// Returns the entry as it is stored, without what the commit adds.
    #[must_use]
    pub fn to_entry(&self) -> LedgerEntry {
        LedgerEntry {
            sequence: 0,
            hash: [0; 32],
            id: self.id.clone(),
            stream: self.stream.clone(),
            run: self.run,
            external_id: self.external_id.clone(),
            call: self.call,
            kind: self.kind.clone(),
            minor_units: self.minor_units,
            currency: self.currency.clone(),
            net_revenue: self.net_revenue,
            occurred_at: self.occurred_at,
            posted_at: Timestamp::default(),
            customer: self.customer.clone(),
            description: self.description.clone(),
            metadata: self.metadata.clone(),
            of: self.of.clone(),
            legs: self.legs.clone(),
            pending: self.pending.clone(),
            reservation: self.reservation.clone(),
            expires_at: self.expires_at,
            parts: Vec::new(),
            evidence: self.evidence.clone(),
            late: false,
            paper: self.paper,
            content: self.content,
        }
    }
}

/// What became of an entry that was appended outside a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendedEntry {
    /// It was written.
    New(Box<LedgerEntry>),
    /// The ledger had the same content under its external id.
    Duplicate(Box<LedgerEntry>),
}
