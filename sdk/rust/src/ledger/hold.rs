//! Holding an amount before the work and settling it after: a reservation with the rules of both
//! ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Entry, Kind, Posting, entry, settle, void};
use crate::host::ledger as host;
use crate::{Error, Money, Result, Timestamp, clock};

/// The end of the external id of the entry for what a reservation did not cover.
const EXCESS_SUFFIX: &str = "#2";

/// Maximum length of an external id, in bytes.
const EXTERNAL_ID_BYTES: usize = 256;

/// Begins a hold: an amount that is pending until it is settled or voided. Place it before the work
/// and settle what the work cost.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// use std::time::Duration;
/// use tidemill_sdk::{Money, clock, ledger};
///
/// let hold = ledger::hold("job_7", ledger::Kind::Usage, Money::minor(500, "EUR"), clock::now())
///     .customer("cus_81")
///     .expires_in(Duration::from_secs(3_600))
///     .place()?;
/// let cost = Money::minor(420, "EUR"); // what the work has cost
/// hold.settle(&cost)?;
/// # Ok(())
/// # }
/// ```
pub fn hold(external_id: impl Into<String>, kind: Kind, amount: Money, occurred_at: Timestamp) -> HoldRequest {
    HoldRequest { entry: entry(external_id, kind, amount.clone(), occurred_at), amount, expires_in: None }
}

/// A hold that has not been placed yet.
#[must_use = "a hold has no effect until it is placed"]
#[derive(Clone, Debug)]
pub struct HoldRequest {
    entry: Entry,
    amount: Money,
    expires_in: Option<Duration>,
}

impl HoldRequest {
    /// Sets the customer.
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.entry = self.entry.customer(customer);
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

    /// Sets further data as JSON: an object if the hold expires or answers an entry.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        self.entry = self.entry.metadata(metadata);
        self
    }

    /// Returns the amount by itself after this time. Without it, the deployment's
    /// `reservations_expire` applies, if there is one.
    pub const fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// Places the hold. The same hold again is the same reservation.
    ///
    /// # Errors
    /// As [`Entry::reserve`]; `external-id-too-long` for an external id of more than 254 bytes,
    /// because `#2` must fit after it.
    pub fn place(mut self) -> Result<Hold> {
        if let Some(time) = self.expires_in {
            let at = clock::now() + time;
            self.entry = self.entry.member("expires_at", at.as_millis().into());
        }
        let entry = self.entry.finish()?;
        if entry.external_id.len() + EXCESS_SUFFIX.len() > EXTERNAL_ID_BYTES {
            return Err(Error::new("external-id-too-long", "the external id of a hold has at most 254 bytes"));
        }
        let posting = super::posting(host::reserve(&entry))?;
        Ok(Hold { posting_id: posting.id, amount: self.amount, excess: ExcessEntry::of(entry) })
    }
}

/// An amount that is held. It can be stored, and settled by another run of the stream.
#[must_use = "a hold is pending until it is settled or voided"]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    posting_id: String,
    amount: Money,
    excess: ExcessEntry,
}

/// What the end of a hold has posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldEnd {
    /// The settlement or the void of the reservation; `None` if it had expired.
    pub end: Option<Posting>,
    /// The entry `ID#2` for what the reservation did not cover.
    pub excess: Option<Posting>,
}

impl Hold {
    /// Returns the id of the reservation's posting.
    #[must_use]
    pub fn posting_id(&self) -> &str {
        &self.posting_id
    }

    /// Returns the held amount.
    #[must_use]
    pub const fn amount(&self) -> &Money {
        &self.amount
    }

    /// Settles what the work cost and returns the rest. If the cost exceeds what is held, or the
    /// hold has expired, the part that is not covered is posted under `ID#2`, with the kind, time,
    /// customer and metadata of the hold. A cost of zero voids the hold.
    ///
    /// # Errors
    /// `host/settle-amount` for another currency, `host/wrong-sign` for a negative cost,
    /// `host/reservation-settled` or `-voided` if the hold ended in another way, and as
    /// [`Entry::post`].
    pub fn settle(&self, cost: &Money) -> Result<HoldEnd> {
        if cost.minor_units == 0 && cost.currency == self.amount.currency {
            return self.void();
        }
        let excess = cost.checked_sub(&self.amount).filter(|excess| excess.minor_units > 0);
        let covered = if excess.is_some() { &self.amount } else { cost };
        match settle(&self.posting_id, Some(covered)) {
            Ok(end) => {
                let excess = excess.map(|amount| self.excess.post(amount)).transpose()?;
                Ok(HoldEnd { end: Some(end), excess })
            }
            Err(error) if has_expired(&error) && cost.currency == self.amount.currency => {
                Ok(HoldEnd { end: None, excess: Some(self.excess.post(cost.clone())?) })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns all of the held amount. A hold that has expired is returned already.
    ///
    /// # Errors
    /// `host/reservation-settled` if the hold was settled, and as [`Entry::reserve`].
    pub fn void(&self) -> Result<HoldEnd> {
        match void(&self.posting_id) {
            Ok(end) => Ok(HoldEnd { end: Some(end), excess: None }),
            Err(error) if has_expired(&error) => Ok(HoldEnd { end: None, excess: None }),
            Err(error) => Err(error),
        }
    }
}

fn has_expired(error: &Error) -> bool {
    error.code() == "host/reservation-expired"
}

/// The fields of the entry that posts what a hold does not cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExcessEntry {
    external_id: String,
    kind: String,
    occurred_at: Timestamp,
    customer: Option<String>,
    description: String,
    metadata: String,
}

impl ExcessEntry {
    fn of(entry: host::Entry) -> Self {
        Self {
            external_id: format!("{}{EXCESS_SUFFIX}", entry.external_id),
            kind: entry.kind,
            occurred_at: Timestamp::from_millis(entry.occurred_at),
            customer: entry.customer,
            description: entry.description,
            metadata: entry.metadata,
        }
    }

    fn post(&self, amount: Money) -> Result<Posting> {
        let mut excess = entry(self.external_id.as_str(), Kind::Other(self.kind.clone()), amount, self.occurred_at);
        excess.wit.customer.clone_from(&self.customer);
        excess.wit.description.clone_from(&self.description);
        excess.wit.metadata.clone_from(&self.metadata);
        excess.post()
    }
}
