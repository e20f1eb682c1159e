//! Entries of the ledger as a module sees it: an external id is posted once per stream.

use crate::bindings::imports::tidemill::guest::ledger::Entry as WitEntry;
use crate::{Money, Timestamp};
use serde_json::Value;
use tidemill_core::Failure;
use tidemill_core::money::{Currencies, EntryCall, EntryDraft};

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The deployment that posted it.
    pub stream: String,
    /// The provider's id.
    pub external_id: String,
    /// The kind, such as `sale`.
    pub kind: String,
    /// The amount.
    pub amount: Money,
    /// The time at which it was earned.
    pub occurred_at: Timestamp,
    /// The customer.
    pub customer: Option<String>,
    /// The description for people.
    pub description: String,
    /// Further data.
    pub metadata: Value,
    /// Its contribution to net revenue, in its currency's minor unit.
    pub(super) net_revenue: i64,
    /// Hash of its contents.
    pub(super) fingerprint: [u8; 16],
}

impl LedgerEntry {
    /// Checks an entry. Tests have the currencies of ISO 4217.
    pub(super) fn of(stream: &str, entry: &WitEntry) -> Result<Self, Failure> {
        let draft = EntryDraft {
            call: EntryCall::Post,
            external_id: &entry.external_id,
            kind: &entry.kind,
            minor_units: entry.amount.minor_units,
            currency: &entry.amount.currency,
            occurred_at: tidemill_core::Timestamp::from_millis(entry.occurred_at),
            customer: entry.customer.as_deref(),
            description: &entry.description,
            metadata: &entry.metadata,
        };
        let checked = draft.check(&Currencies::default()).map_err(|bad| bad.code().failure(bad.to_string()))?;
        Ok(Self {
            stream: stream.to_owned(),
            external_id: entry.external_id.clone(),
            kind: entry.kind.clone(),
            amount: Money::minor(entry.amount.minor_units, entry.amount.currency.clone()),
            occurred_at: Timestamp::from_millis(entry.occurred_at),
            customer: entry.customer.clone(),
            description: entry.description.clone(),
            metadata: serde_json::from_str(&entry.metadata).unwrap_or_default(),
            net_revenue: checked.net_revenue,
            fingerprint: checked.fingerprint,
        })
    }

    /// Returns the id of its posting.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.stream, self.external_id)
    }
}
