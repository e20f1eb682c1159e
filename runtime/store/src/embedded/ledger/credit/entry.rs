//! What an entry is to the account of its customer.

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{AccountChange, AccountEntry, BalanceEffect, GrantTerms};
use tidemill_core::money::{EntryCall, EntryKind, LedgerStream};

use crate::embedded::ledger::credit::keys;
use crate::embedded::ledger::reservations;
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{LedgerEntry, NewEntry};

/// The fields of an entry that decide what it does to an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreditEntry<'e> {
    stream: &'e LedgerStream,
    currency: &'e str,
    customer: &'e str,
    effect: BalanceEffect,
    call: EntryCall,
    external_id: &'e str,
    of: Option<&'e str>,
    minor_units: i64,
    occurred_at: Timestamp,
    metadata: &'e str,
    ends: bool,
    expires_at: Option<Timestamp>,
}

/// The effect of an entry on the account of its customer; `None` if it moves none.
fn effect_of(customer: Option<&str>, kind: &str, call: EntryCall, ends: bool) -> Option<BalanceEffect> {
    customer.filter(|customer| !customer.is_empty())?;
    let effect = EntryKind::parse(kind).and_then(BalanceEffect::of_kind)?;
    // The host posts the rest of a grant after its expiry.
    Some(if call == EntryCall::Expire && !ends { BalanceEffect::Lapse } else { effect })
}

macro_rules! of_entry {
    ($name:ident, $entry:ty) => {
        /// Returns the entry if it moves the account of a customer.
        pub(crate) fn $name(entry: &'e $entry) -> Option<Self> {
            let (customer, ends) = (entry.customer.as_deref(), entry.reservation.is_some());
            let effect = effect_of(customer, &entry.kind, entry.call, ends)?;
            Some(Self {
                stream: &entry.stream,
                currency: &entry.currency,
                customer: customer?,
                effect,
                call: entry.call,
                external_id: &entry.external_id,
                of: entry.of.as_deref(),
                minor_units: entry.minor_units,
                occurred_at: entry.occurred_at,
                metadata: &entry.metadata,
                ends,
                expires_at: entry.expires_at,
            })
        }
    };
}

impl<'e> CreditEntry<'e> {
    of_entry!(of_new, NewEntry);
    of_entry!(of_stored, LedgerEntry);

    /// The key of the account.
    pub(crate) fn account(&self) -> Vec<u8> {
        keys::account(self.stream, self.currency, self.customer)
    }

    /// Whether it returns a reservation whose time is over.
    pub(crate) fn returns_expired(&self) -> bool {
        self.call == EntryCall::Expire && self.ends
    }

    /// Whether it takes from the account although nothing was asked first, so that the account may
    /// end below its floor.
    pub(crate) fn may_pass_floor(&self) -> bool {
        self.effect.takes() && matches!(self.call, EntryCall::Post | EntryCall::Correct)
    }

    /// Whether it reserves what its settlement will grant.
    pub(crate) fn reserves_grant(&self) -> bool {
        self.call == EntryCall::Reserve && !self.effect.takes()
    }

    /// Whether it settles a reservation and makes a grant, so that the terms of the grant count
    /// from the time of the reservation.
    pub(crate) fn settles_grant(&self) -> bool {
        self.call == EntryCall::Settle && !self.effect.takes()
    }

    /// The external id of the reservation that it ends, or its own.
    pub(crate) fn id(&self) -> &'e str {
        match self.call {
            EntryCall::Settle => self.external_id.strip_suffix("/settled").unwrap_or(self.external_id),
            EntryCall::Void => self.external_id.strip_suffix("/voided").unwrap_or(self.external_id),
            // Its own id has a number if another entry has the id that it would have.
            EntryCall::Expire if self.ends => self.of.unwrap_or(self.external_id),
            _ => self.external_id,
        }
    }

    /// What it does to the account. `reserved_at` is the time of the reservation if it settles one.
    pub(crate) fn change(
        &self,
        sequence: u64,
        reserved_at: Option<Timestamp>,
        late_usage_millis: u64,
    ) -> AccountChange<'e> {
        let occurred_at = reserved_at.unwrap_or(self.occurred_at);
        let terms = match self.effect {
            // The terms were checked before the entry was accepted.
            BalanceEffect::Grant(_) => GrantTerms::read(self.metadata, occurred_at).ok(),
            _ => None,
        };
        let entry = AccountEntry {
            id: self.id(),
            sequence,
            effect: self.effect,
            minor_units: self.minor_units,
            occurred_at,
            of: self.of,
            terms,
            late_usage_millis,
        };
        match self.call {
            EntryCall::Reserve => AccountChange::Reserve(entry, self.expires_at),
            EntryCall::Settle => AccountChange::Settle(entry),
            EntryCall::Void => AccountChange::Release(entry.id),
            EntryCall::Expire if self.ends => AccountChange::Release(entry.id),
            _ => AccountChange::Post(entry),
        }
    }

    /// What it did to the account when it was committed, as the stored entry.
    pub(crate) fn stored_change(&self, store: &impl ReadTx, stored: &LedgerEntry) -> Result<AccountChange<'e>> {
        let reserved_at = match stored.reservation.as_deref().filter(|_| self.settles_grant()) {
            Some(id) => reservations::reservation(store, id)?.map(|reservation| reservation.entry.occurred_at),
            None => None,
        };
        // How long late usage is covered is on no entry.
        Ok(self.change(stored.sequence, reserved_at, 0))
    }
}
