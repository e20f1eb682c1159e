//! An uncommitted posting, as a replay snapshot stores it.

use serde::{Deserialize, Serialize};
use tidemill_core::money::{ContentHash, EntryCall, EntryContent, EntryKind, EntryLinks, LedgerStream};
use tidemill_core::{DeploymentName, RunId, Timestamp};
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};

/// A posting that waits for the commit of its transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BufferedPosting {
    pub id: String,
    pub stream: DeploymentName,
    pub run: RunId,
    pub external_id: String,
    pub kind: String,
    pub minor_units: i64,
    pub currency: String,
    pub net_revenue: i64,
    pub occurred_at: Timestamp,
    pub posted_at: Timestamp,
    pub customer: Option<String>,
    pub description: String,
    pub metadata: String,
    pub legs: Vec<LedgerLeg>,
    /// Hash of all fields that the guest reported.
    pub fingerprint: [u8; 16],
}

impl BufferedPosting {
    /// Returns the entry to commit.
    pub fn to_entry(&self) -> NewEntry {
        let of = EntryLinks::stored_of(&self.metadata);
        NewEntry {
            id: self.id.clone(),
            stream: LedgerStream::of(&self.stream),
            run: Some(self.run),
            external_id: self.external_id.clone(),
            call: EntryCall::Post,
            kind: self.kind.clone(),
            minor_units: self.minor_units,
            currency: self.currency.clone(),
            exponent: None,
            net_revenue: self.net_revenue,
            occurred_at: self.occurred_at,
            customer: self.customer.clone(),
            description: self.description.clone(),
            metadata: self.metadata.clone(),
            content: self.content(of.as_deref()),
            of,
            legs: self.legs.clone(),
            pending: Vec::new(),
            reservation: None,
            expires_at: None,
            evidence: Evidence::default(),
            paper: false,
        }
    }

    fn content(&self, of: Option<&str>) -> ContentHash {
        // The kind was checked before the posting was buffered.
        EntryKind::parse(&self.kind).map_or_else(ContentHash::default, |kind| {
            let content = EntryContent {
                kind,
                minor_units: self.minor_units,
                currency: &self.currency,
                occurred_at: self.occurred_at,
                of,
                call: EntryCall::Post,
                customer: self.customer.as_deref(),
            };
            content.hash()
        })
    }
}
