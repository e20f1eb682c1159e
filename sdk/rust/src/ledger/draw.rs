//! Drawing from a customer's credit, and the balance of a customer.

use serde::Serialize;

use super::{Entry, Kind, Posting, entry};
use crate::host::ledger as host;
use crate::{Error, Money, Result, Timestamp};

/// Begins a draw from a customer's credit: usage that the ledger records only if the credit
/// suffices.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// use tidemill_sdk::{Money, clock, ledger};
///
/// let cost = Money::minor(600, "EUR");
/// match ledger::draw("call_7", "cus_81", cost, clock::now()).take() {
///     Ok(draw) => assert_eq!(draw.amount.minor_units, 600),
///     Err(error) if error.code() == "host/insufficient-balance" => { /* nothing was drawn */ }
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
pub fn draw(
    external_id: impl Into<String>,
    customer: impl Into<String>,
    amount: Money,
    occurred_at: Timestamp,
) -> DrawRequest {
    DrawRequest { entry: entry(external_id, Kind::Drawdown, amount, occurred_at).customer(customer), partial: false }
}

/// A draw that has not been taken yet.
#[must_use = "a draw has no effect until it is taken"]
#[derive(Clone, Debug)]
pub struct DrawRequest {
    entry: Entry,
    partial: bool,
}

impl DrawRequest {
    /// Takes what is above the floor if the whole amount is not: possibly nothing.
    pub const fn up_to(mut self) -> Self {
        self.partial = true;
        self
    }

    /// Sets the description for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.entry = self.entry.description(description);
        self
    }

    /// Names the entry that this one answers: see [`Entry::of`].
    pub fn of(mut self, external_id: impl Into<String>) -> Self {
        self.entry = self.entry.of(external_id);
        self
    }

    /// Sets further data as JSON.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        self.entry = self.entry.metadata(metadata);
        self
    }

    /// Takes the amount. The same draw again is a duplicate and takes nothing more.
    ///
    /// # Errors
    /// `host/insufficient-balance` if the account would end below its floor, with what is
    /// available, the floor and what is needed in its details, and as [`Entry::post`].
    pub fn take(self) -> Result<Draw> {
        let drawn = host::draw(&self.entry.finish()?, self.partial).map_err(Error::from_failure)?;
        let posting = drawn.posting.map(|host::Posting { id, duplicate }| Posting { id, duplicate });
        Ok(Draw { posting, amount: super::from_wit(drawn.amount) })
    }
}

/// What was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The posting; `None` if nothing was above the floor.
    pub posting: Option<Posting>,
    /// The amount: all that was asked for, or less of a draw `up_to` it.
    pub amount: Money,
}

/// What a customer's account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What valid grants have left and not held, less debt.
    pub available: Money,
    /// What reservations hold.
    pub held: Money,
    /// What `reserve` and `draw` leave at least. Below zero it is a credit line.
    pub floor: Option<Money>,
    /// The next time at which something that is available expires.
    pub next_expiry: Option<Timestamp>,
}

/// Returns what a customer's account has, with the entries of this run that are not committed. To
/// take from it, use [`draw`]: what is available may change before a run commits.
///
/// # Errors
/// `host/unknown-currency`, and `host/not-granted` without the grant.
pub fn balance(customer: &str, currency: &str) -> Result<Balance> {
    let balance = host::balance(customer, currency).map_err(Error::from_failure)?;
    let money = |minor_units| Money::minor(minor_units, currency);
    Ok(Balance {
        available: money(balance.available),
        held: money(balance.held),
        floor: balance.floor.map(money),
        next_expiry: balance.next_expiry.map(Timestamp::from_millis),
    })
}
