//! The ledger as a module sees it: an external id is posted once per stream, and a reservation is
//! settled or voided once.

use super::journal::Failed;
use crate::host::ledger as host;
use crate::host::types::Money as WitMoney;
use crate::{Money, Timestamp};
use serde_json::Value;

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
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
    /// The state of the entry.
    pub standing: Standing,
}

/// The state of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was posted.
    Posted,
    /// It is reserved.
    Reserved,
    /// This part of the reservation was posted.
    Settled(Money),
    /// The reservation was released.
    Voided,
}

/// Maximum length of ids, descriptions and metadata, in bytes.
const ID: usize = 256;
const DESCRIPTION: usize = 1024;
const METADATA: usize = 16 * 1024;

const KINDS: [&str; 13] = [
    "sale",
    "subscription",
    "commission",
    "trade",
    "usage",
    "interest",
    "refund",
    "fee",
    "dispute",
    "tax",
    "payout",
    "payout-reversal",
    "adjustment",
];

impl Posted {
    pub(super) fn of(stream: &str, entry: &host::Entry, standing: Standing) -> Result<Self, Failed> {
        let refused = |code, why: &str| Err(Failed::host(code, format!("ledger entry `{}`: {why}", entry.external_id)));
        let id = &entry.external_id;
        if id.is_empty() || id.len() > ID || id.chars().any(char::is_control) {
            return refused("bad-entry", "its id has 1 to 256 bytes without control characters");
        }
        if entry.customer.as_ref().is_some_and(|customer| customer.len() > ID) {
            return refused("bad-entry", "`customer` has at most 256 bytes");
        }
        if entry.description.len() > DESCRIPTION {
            return refused("bad-entry", "`description` has at most 1024 bytes");
        }
        if entry.metadata.len() > METADATA || serde_json::from_str::<Value>(&entry.metadata).is_err() {
            return refused("bad-entry", "`metadata` is one JSON value of at most 16 KiB");
        }
        if !KINDS.contains(&entry.kind.as_str()) {
            return refused("bad-kind", "its kind does not exist");
        }
        if entry.amount.minor_units == 0 {
            return refused("wrong-sign", "the amount is zero");
        }
        if entry.amount.minor_units < 0 && !matches!(entry.kind.as_str(), "trade" | "adjustment") {
            return refused("wrong-sign", "only a trade or an adjustment may be negative");
        }
        Ok(Self {
            stream: stream.to_owned(),
            external_id: entry.external_id.clone(),
            kind: entry.kind.clone(),
            amount: Money::minor(entry.amount.minor_units, entry.amount.currency.clone()),
            occurred_at: Timestamp::from_millis(entry.occurred_at),
            customer: entry.customer.clone(),
            description: entry.description.clone(),
            metadata: serde_json::from_str(&entry.metadata).unwrap_or_default(),
            standing,
        })
    }

    /// Returns the id by which the module settles it.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.stream, self.external_id)
    }

    /// Whether the other entry has the same content; its state may differ.
    pub(super) fn again(&self, other: &Self) -> bool {
        Self { standing: Standing::Posted, ..self.clone() } == Self { standing: Standing::Posted, ..other.clone() }
    }

    /// Settles it. Returns `None` if it was already settled with this amount.
    pub(super) fn settle(&self, amount: Option<&WitMoney>) -> Result<Option<Self>, Failed> {
        let amount =
            amount.map_or(self.amount.clone(), |money| Money::minor(money.minor_units, money.currency.clone()));
        match &self.standing {
            Standing::Settled(settled) if *settled == amount => Ok(None),
            Standing::Reserved
                if amount.currency != self.amount.currency || amount.minor_units > self.amount.minor_units =>
            {
                Err(Failed::host(
                    "invalid",
                    format!("`{}` can be settled with at most the reserved amount", self.external_id),
                ))
            }
            Standing::Reserved => Ok(Some(Self { standing: Standing::Settled(amount), ..self.clone() })),
            _ => Err(Failed::host("invalid", format!("`{}` is not reserved", self.external_id))),
        }
    }

    /// Releases it. Returns `None` if it was already released.
    pub(super) fn void(&self) -> Result<Option<Self>, Failed> {
        match self.standing {
            Standing::Voided => Ok(None),
            Standing::Reserved => Ok(Some(Self { standing: Standing::Voided, ..self.clone() })),
            _ => Err(Failed::host("invalid", format!("`{}` is not reserved", self.external_id))),
        }
    }

    /// Returns its contribution to net revenue, in its currency's minor unit.
    pub(super) fn net(&self) -> i64 {
        let size = match &self.standing {
            Standing::Posted => self.amount.minor_units,
            Standing::Settled(amount) => amount.minor_units,
            Standing::Reserved | Standing::Voided => 0,
        };
        match self.kind.as_str() {
            "refund" | "fee" | "dispute" => size.saturating_neg(),
            "tax" | "payout" | "payout-reversal" => 0,
            _ => size,
        }
    }
}
