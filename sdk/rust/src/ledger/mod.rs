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

mod draw;
mod hold;

pub use draw::{Balance, Draw, DrawRequest, balance, draw};
pub use hold::{Hold, HoldEnd, HoldRequest, hold};

use crate::host::ledger as host;
use crate::host::types::Money as WitMoney;
use crate::stream::Period;
use crate::{Error, Money, Result, Timestamp, json};
use serde::Serialize;
use serde_json::{Map, Value};

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
    /// Tax that was paid to the authority. It does not change revenue.
    TaxPaid,
    /// Money that moved to the bank. It does not change revenue.
    Payout,
    /// A payout that was returned. It does not change revenue.
    PayoutReversal,
    /// Money that moved from the bank to the provider. It does not change revenue.
    Deposit,
    /// Money that a customer paid in advance. It is not revenue yet.
    Prepayment,
    /// Credit that a customer received as a gift.
    Promotion,
    /// Usage that a customer's credit pays. It is revenue.
    Drawdown,
    /// Credit that expired unused. It is revenue.
    Breakage,
    /// Money received from another stream.
    Received,
    /// Money collected for another stream.
    Collected,
    /// What a provider's conversion takes in one currency. The metadata of both sides name the same
    /// `conversion`.
    ConversionOut,
    /// What a provider's conversion gives in another currency.
    ConversionIn,
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
            Self::TaxPaid => "tax-paid",
            Self::Payout => "payout",
            Self::PayoutReversal => "payout-reversal",
            Self::Deposit => "deposit",
            Self::Prepayment => "prepayment",
            Self::Promotion => "promotion",
            Self::Drawdown => "drawdown",
            Self::Breakage => "breakage",
            Self::Received => "received",
            Self::Collected => "collected",
            Self::ConversionOut => "conversion-out",
            Self::ConversionIn => "conversion-in",
            Self::Adjustment => "adjustment",
            Self::Other(name) => name,
        }
    }

    /// Returns the kind that undoes this one: `refund-reversal` for a refund. The ledger has none
    /// for trades, adjustments, conversions and reversals: post the opposite entry.
    #[must_use]
    pub fn reversal(&self) -> Self {
        match self {
            Self::Payout => Self::PayoutReversal,
            kind => Self::Other(format!("{}-reversal", kind.as_str())),
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
        members: Map::new(),
        refused: None,
    }
}

/// An entry that has not been posted yet.
#[must_use = "an entry has no effect until it is posted"]
#[derive(Clone, Debug)]
pub struct Entry {
    wit: host::Entry,
    /// Members of the metadata with a meaning for the ledger.
    members: Map<String, Value>,
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

    /// Names the entry that this one answers, by its external id: the sale of a refund, the refund
    /// of a reversal, the charge of a fee. It becomes the member `of` of the metadata.
    pub fn of(self, external_id: impl Into<String>) -> Self {
        self.member("of", Value::String(external_id.into()))
    }

    /// Names the conversion that this entry is a side of. Both sides have the same name and are
    /// posted in one transaction. It becomes the member `conversion` of the metadata.
    pub fn conversion(self, id: impl Into<String>) -> Self {
        self.member("conversion", Value::String(id.into()))
    }

    fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Posts the entry.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, and refusals of the ledger, such as an unknown
    /// currency or the same external id with different content.
    pub fn post(self) -> Result<Posting> {
        posting(host::post(&self.finish()?))
    }

    /// Reserves the amount until it is settled or voided. [`hold`] does it with the rules of its
    /// end.
    ///
    /// # Errors
    /// `host/insufficient-balance` if an account would end below its floor, and as [`Entry::post`].
    pub fn reserve(self) -> Result<Posting> {
        posting(host::reserve(&self.finish()?))
    }

    /// Returns the entry as the host takes it.
    fn finish(self) -> Result<host::Entry> {
        let Self { mut wit, members, refused } = self;
        if let Some(error) = refused {
            return Err(error);
        }
        if !members.is_empty() {
            let Ok(Value::Object(mut object)) = serde_json::from_str(&wit.metadata) else {
                return Err(Error::new(
                    "not-json",
                    "the metadata of an entry with `of`, a conversion or an expiry is an object",
                ));
            };
            object.extend(members);
            wit.metadata = json::encode(&object)?;
        }
        Ok(wit)
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

/// Settles at most the reserved amount, or all of it with `None`, and returns the rest. The
/// settlement is an entry of its own. The same settlement again is a duplicate.
///
/// # Errors
/// `host/reservation-not-found` for an id that is no reservation of this stream,
/// `host/reservation-settled`, `-voided` or `-expired` if it has ended, `host/wrong-sign` for an
/// amount of zero or less, `host/settle-amount` for more than is reserved or another currency, and
/// `host/not-granted` without the grant. A refusal leaves the reservation as it is.
pub fn settle(posting_id: &str, amount: Option<&Money>) -> Result<Posting> {
    posting(host::settle(posting_id, amount.map(to_wit).as_ref()))
}

/// Returns the whole reservation. The same void again is a duplicate.
///
/// # Errors
/// As [`settle`], except for those about the amount.
pub fn void(posting_id: &str) -> Result<Posting> {
    posting(host::void(posting_id))
}

/// Returns the committed net revenue of this stream in a period, per currency.
///
/// # Errors
/// `host/not-granted` without the grant.
pub fn revenue(period: Period) -> Result<Vec<Money>> {
    let revenue = host::revenue(period.start.as_millis(), period.end.as_millis()).map_err(Error::from_failure)?;
    Ok(revenue.into_iter().map(from_wit).collect())
}

fn posting(answer: WitResult) -> Result<Posting> {
    answer.map(|host::Posting { id, duplicate }| Posting { id, duplicate }).map_err(Error::from_failure)
}

fn from_wit(WitMoney { minor_units, currency }: WitMoney) -> Money {
    Money { minor_units, currency }
}

fn to_wit(money: &Money) -> WitMoney {
    WitMoney { minor_units: money.minor_units, currency: money.currency.clone() }
}
