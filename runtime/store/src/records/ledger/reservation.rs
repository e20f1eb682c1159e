//! Reservations: entries with pending legs, until they are settled, voided or expired.

use tidemill_core::money::{EntryCall, Reservation, ReservationState};

use super::LedgerEntry;

/// A reservation and the entry that ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReservation {
    /// The entry that made it.
    pub entry: LedgerEntry,
    /// The entry that settled, voided or expired it; `None` while its amount is pending.
    pub closed: Option<LedgerEntry>,
}

impl StoredReservation {
    /// Returns what the rules need to know about it.
    #[must_use]
    pub fn terms(&self) -> Reservation {
        let state = match &self.closed {
            None => ReservationState::Open,
            Some(entry) if entry.call == EntryCall::Settle => {
                ReservationState::Settled { minor_units: entry.minor_units }
            }
            Some(entry) if entry.call == EntryCall::Void => ReservationState::Voided,
            Some(_) => ReservationState::Expired,
        };
        Reservation {
            minor_units: self.entry.minor_units,
            currency: self.entry.currency.clone(),
            expires_at: self.entry.expires_at,
            state,
        }
    }
}
