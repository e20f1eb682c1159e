//! The revenue ledger: append-only, double-entry, idempotent. The deployment needs `ledger = true` among its grants.
//!
//! ```no_run
//! # fn main() -> tidemill_sdk::Result<()> {
//! use tidemill_sdk::{Money, clock, ledger};
//!
//! let posting = ledger::entry("ch_3Pq1", ledger::Kind::Sale, Money::minor(1999, "EUR"), clock::now())
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

/// What an entry is. The kind says which way the money goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Something sold once.
    Sale,
    /// A subscription's payment.
    Subscription,
    /// A commission earned.
    Commission,
    /// A trade's gain; its amount may be negative.
    Trade,
    /// Usage that is billed.
    Usage,
    /// Interest earned.
    Interest,
    /// Money given back.
    Refund,
    /// A fee paid.
    Fee,
    /// Money held back or lost in a dispute.
    Dispute,
    /// Tax collected, which is held apart and is no revenue.
    Tax,
    /// Money moved to the bank; changes no revenue.
    Payout,
    /// A payout that came back; changes no revenue.
    PayoutReversal,
    /// A correction; its amount may be negative.
    Adjustment,
    /// One that this SDK does not know yet, by its name.
    Other(String),
}

impl Kind {
    /// Its name in the contract.
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

/// An entry on its way to the ledger. `external_id` is the provider's own id: the same id in the same stream posts once.
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

/// An entry on its way to the ledger.
#[must_use = "an entry counts once it is posted"]
#[derive(Clone, Debug)]
pub struct Entry {
    wit: host::Entry,
    refused: Option<Error>,
}

impl Entry {
    /// Whose money it is.
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.wit.customer = Some(customer.into());
        self
    }

    /// A line for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.wit.description = description.into();
        self
    }

    /// Anything more, as JSON. What does not serialise fails when the entry is posted.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        match json::encode(metadata) {
            Ok(text) => self.wit.metadata = text,
            Err(error) => self.refused = Some(error),
        }
        self
    }

    /// Posts it.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, and what the ledger refuses: an unknown currency, the same external id with
    /// other content.
    pub fn post(self) -> Result<Posting> {
        self.send(host::post)
    }

    /// Holds the amount until it is settled or voided.
    ///
    /// # Errors
    /// As [`Entry::post`]; `host/not-available` where the host does not do this yet.
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

/// What the ledger wrote, or had written already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its id.
    pub id: String,
    /// It was there already, and nothing was posted.
    pub duplicate: bool,
}

/// Settles at most what was reserved, all of it with `None`; the rest returns.
///
/// # Errors
/// As [`Entry::reserve`].
pub fn settle(posting_id: &str, amount: Option<&Money>) -> Result<Posting> {
    posting(host::settle(posting_id, amount.map(to_wit).as_ref()))
}

/// Gives back all that was reserved.
///
/// # Errors
/// As [`Entry::reserve`].
pub fn void(posting_id: &str) -> Result<Posting> {
    posting(host::void(posting_id))
}

/// Net revenue of this stream in a period, per currency, as last committed.
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
