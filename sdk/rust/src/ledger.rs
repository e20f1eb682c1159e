//! The revenue ledger: append-only, double-entry, idempotent. The deployment needs `ledger = true`
//! among its grants.
//!
//! ```no_run
//! # fn main() -> tidemill_sdk::Result<()> {
//! use tidemill_sdk::{Money, clock, ledger};
//!
//! let amount = Money::minor(1999, "EUR");
//! let posting = ledger::entry("ch_3Pq1", ledger::Kind::Sale, amount, clock::now())
//!     .customer("cus_81")
//!     .description("Pro plan")
//!     .post()?;
//! assert!(!posting.duplicate);
//! # Ok(())
//! # }
//! ```

use crate::host::ledger as host;
use crate::host::types::Money as WitMoney;
use crate::stream::Period;
use crate::{Error, Money, Result, Timestamp, json};
use serde::Serialize;

/// The kind of an entry. It defines the direction of the amount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A single sale.
    Sale,
    /// A payment for a subscription.
    Subscription,
    /// A commission that was earned.
    Commission,
    /// The gain of a trade. Its amount may be negative.
    Trade,
    /// Usage that is billed.
    Usage,
    /// Interest that was earned.
    Interest,
    /// Money that was returned.
    Refund,
    /// A fee that was paid.
    Fee,
    /// Money that was withheld or lost in a dispute.
    Dispute,
    /// Tax that was collected. It is held separately and is not revenue.
    Tax,
    /// Money that moved to the bank. It does not change revenue.
    Payout,
    /// A payout that was returned. It does not change revenue.
    PayoutReversal,
    /// A correction. Its amount may be negative.
    Adjustment,
    /// A kind that this SDK does not know, by its name.
    Other(String),
}

impl Kind {
    /// Returns the name of the kind in the contract.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sale => "sale",
            Self::Subscription => "subscription",
            Self::Commission => "commission",
            Self::Trade => "trade",
            Self::Usage => "usage",
            Self::Interest => "interest",
            Self::Refund => "refund",
            Self::Fee => "fee",
            Self::Dispute => "dispute",
            Self::Tax => "tax",
            Self::Payout => "payout",
            Self::PayoutReversal => "payout-reversal",
            Self::Adjustment => "adjustment",
            Self::Other(name) => name,
        }
    }
}

/// Creates an entry. `external_id` is the provider's id. An id is posted once per stream.
pub fn entry(external_id: impl Into<String>, kind: Kind, amount: Money, occurred_at: Timestamp) -> Entry {
    Entry {
        wit: host::Entry {
            external_id: external_id.into(),
            kind: kind.as_str().to_owned(),
            amount: to_wit(&amount),
            occurred_at: occurred_at.as_millis(),
            customer: None,
            description: String::new(),
            metadata: "{}".to_owned(),
        },
        refused: None,
    }
}

/// An entry that has not been posted yet.
#[must_use = "an entry has no effect until it is posted"]
#[derive(Clone, Debug)]
pub struct Entry {
    wit: host::Entry,
    refused: Option<Error>,
}

impl Entry {
    /// Sets the customer.
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.wit.customer = Some(customer.into());
        self
    }

    /// Sets the description for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.wit.description = description.into();
        self
    }

    /// Sets further data as JSON. A value that does not serialize fails when the entry is posted.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        match json::encode(metadata) {
            Ok(text) => self.wit.metadata = text,
            Err(error) => self.refused = Some(error),
        }
        self
    }

    /// Posts the entry.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, and refusals of the ledger, such as an unknown
    /// currency or the same external id with different content.
    pub fn post(self) -> Result<Posting> {
        self.send(host::post)
    }

    /// Reserves the amount until it is settled or voided.
    ///
    /// # Errors
    /// As [`Entry::post`]; `host/not-available` if the host does not implement it.
    pub fn reserve(self) -> Result<Posting> {
        self.send(host::reserve)
    }

    fn send(self, how: impl FnOnce(&host::Entry) -> WitResult) -> Result<Posting> {
        match self.refused {
            Some(error) => Err(error),
            None => posting(how(&self.wit)),
        }
    }
}

type WitResult = std::result::Result<host::Posting, crate::host::types::Failure>;

/// The result of posting an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The id of the posting.
    pub id: String,
    /// Whether the ledger already had the entry, so that nothing was posted.
    pub duplicate: bool,
}

/// Settles at most the reserved amount, or all of it with `None`, and releases the rest.
///
/// # Errors
/// As [`Entry::reserve`].
pub fn settle(posting_id: &str, amount: Option<&Money>) -> Result<Posting> {
    posting(host::settle(posting_id, amount.map(to_wit).as_ref()))
}

/// Releases the whole reservation.
///
/// # Errors
/// As [`Entry::reserve`].
pub fn void(posting_id: &str) -> Result<Posting> {
    posting(host::void(posting_id))
}

/// Returns the committed net revenue of this stream in a period, per currency.
///
/// # Errors
/// `host/not-granted` without the grant.
pub fn revenue(period: Period) -> Result<Vec<Money>> {
    let revenue = host::revenue(period.start.as_millis(), period.end.as_millis()).map_err(Error::from_failure)?;
    Ok(revenue.into_iter().map(|WitMoney { minor_units, currency }| Money { minor_units, currency }).collect())
}

fn posting(answer: WitResult) -> Result<Posting> {
    answer.map(|host::Posting { id, duplicate }| Posting { id, duplicate }).map_err(Error::from_failure)
}

fn to_wit(money: &Money) -> WitMoney {
    WitMoney { minor_units: money.minor_units, currency: money.currency.clone() }
}
