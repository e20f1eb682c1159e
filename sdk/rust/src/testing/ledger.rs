//! Entries of the ledger as a module sees it: an external id is posted once per stream, and a
//! reservation ends once.

use crate::bindings::imports::tidemill::guest::ledger::Entry as WitEntry;
use crate::{Money, Timestamp};
use serde_json::Value;
use tidemill_core::Failure;
use tidemill_core::money::{
    ContentHash, Currencies, EntryCall, EntryDraft, EntryKind, Reservation, ReservationState, net_revenue,
};

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The deployment that posted it.
    pub stream: String,
    /// The provider's id. That of the end of a reservation has `/settled` or `/voided` after it.
    pub external_id: String,
    /// The call that made it: `post`, `reserve`, `draw`, `settle` or `void`.
    pub call: &'static str,
    /// The kind, such as `sale`.
    pub kind: String,
    /// The amount. That of a settlement is the settled amount.
    pub amount: Money,
    /// The time at which it was earned, or at which a reservation ended.
    pub occurred_at: Timestamp,
    /// The customer.
    pub customer: Option<String>,
    /// The description for people.
    pub description: String,
    /// Further data.
    pub metadata: Value,
    /// Its contribution to net revenue, in its currency's minor unit.
    pub(super) net_revenue: i64,
    /// Hash of its content.
    pub(super) content: ContentHash,
    /// When it expires, if it is a reservation.
    pub(super) expires_at: Option<tidemill_core::Timestamp>,
    /// Its place in the order in which entries were written, and the time.
    pub(super) number: u64,
    pub(super) posted_at: tidemill_core::Timestamp,
}

impl LedgerEntry {
    /// Checks an entry. Tests have the currencies of ISO 4217.
    pub(super) fn of(stream: &str, call: EntryCall, entry: &WitEntry) -> Result<Self, Failure> {
        let draft = EntryDraft {
            call,
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
            call: call.as_str(),
            kind: entry.kind.clone(),
            amount: Money::minor(entry.amount.minor_units, entry.amount.currency.clone()),
            occurred_at: Timestamp::from_millis(entry.occurred_at),
            customer: entry.customer.clone(),
            description: entry.description.clone(),
            metadata: serde_json::from_str(&entry.metadata).unwrap_or_default(),
            net_revenue: checked.net_revenue,
            content: checked.content,
            expires_at: checked.links.expires_at,
            number: 0,
            posted_at: tidemill_core::Timestamp::default(),
        })
    }

    /// Reduces the amount to what a partial draw takes. The content stays.
    pub(super) fn reduce_to(&mut self, minor_units: i64) {
        if self.net_revenue == self.amount.minor_units {
            self.net_revenue = minor_units;
        }
        self.amount.minor_units = minor_units;
    }

    /// Returns the id of its posting.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.stream, self.external_id)
    }

    /// Returns it as the rules of reservations see it, in this state.
    pub(super) fn terms(&self, state: ReservationState) -> Reservation {
        Reservation {
            minor_units: self.amount.minor_units,
            currency: self.amount.currency.clone(),
            expires_at: self.expires_at,
            state,
        }
    }

    /// Returns the external id of the entry that ends it in a state. `None` if it stays open.
    pub(super) fn end_id(&self, state: ReservationState) -> Option<String> {
        state.suffix().map(|suffix| format!("{}{suffix}", self.external_id))
    }

    /// Returns the entry that ends it in a state. `None` if it stays open.
    pub(super) fn ended(&self, state: ReservationState, now: u64, number: u64) -> Option<Self> {
        let (call, minor_units, revenue) = match state {
            ReservationState::Settled { minor_units } => {
                let legs = EntryKind::parse(&self.kind)?.legs(minor_units)?;
                (EntryCall::Settle, minor_units, net_revenue(legs))
            }
            _ => (EntryCall::Void, self.amount.minor_units, 0),
        };
        Some(Self {
            external_id: self.end_id(state)?,
            call: call.as_str(),
            amount: Money::minor(minor_units, self.amount.currency.clone()),
            occurred_at: Timestamp::from_millis(now),
            net_revenue: revenue,
            expires_at: None,
            number,
            posted_at: tidemill_core::Timestamp::from_millis(now),
            ..self.clone()
        })
    }
}
