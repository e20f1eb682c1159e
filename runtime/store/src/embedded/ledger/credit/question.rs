//! Questions to accounts: what a `reserve` or `draw` may take, as the entries of its transaction
//! leave it. A run decides before it answers its guest, and the commit decides again, against what
//! is committed by then.

use tidemill_core::Timestamp;
use tidemill_core::money::EntryKind;
use tidemill_core::money::balance::{AccountEntry, BalanceEffect, CreditDecision};

use crate::embedded::ledger::credit::changes::AccountChanges;
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::{floors, keys};
use crate::embedded::ledger::record::AccountRecord;
use crate::embedded::ledger::{keys as ledger_keys, reservations, sums};
use crate::embedded::tables::{LEDGER_ACCOUNTS, LEDGER_OUTGOING};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{BalanceCheck, BalanceQuestion, CustomerAccount, FloorAccount, NewEntry};

/// The sequence number of the first entry that is not committed. It is after that of all others.
const FIRST_UNCOMMITTED: u64 = u64::MAX / 2;

/// Decides the questions of one transaction, in order.
pub(crate) struct CreditDecider<'a, R: ReadTx> {
    store: &'a R,
    /// The entries of the transaction.
    own: &'a [NewEntry],
    now: Timestamp,
    /// The number of entries in `changes`.
    applied: usize,
    changes: AccountChanges,
}

impl<'a, R: ReadTx> CreditDecider<'a, R> {
    pub(crate) fn new(store: &'a R, own: &'a [NewEntry], now: Timestamp) -> Self {
        Self { store, own, now, applied: 0, changes: AccountChanges::default() }
    }

    /// Answers a question that follows the first `after` entries of the transaction.
    pub(crate) fn decide(&mut self, question: &BalanceQuestion, after: usize) -> Result<CreditDecision> {
        match &question.account {
            FloorAccount::Customer(customer) => self.decide_of_customer(question, customer, after),
            FloorAccount::Stream(account) => self.decide_of_stream(question, account, after),
        }
    }

    /// Returns the new answer to a question if it differs.
    pub(crate) fn changed(&mut self, check: &BalanceCheck) -> Result<Option<CreditDecision>> {
        let decision = self.decide(&check.question, check.after)?;
        let covered = match decision {
            CreditDecision::Covered(minor_units) => Some(minor_units),
            CreditDecision::Short { .. } => None,
        };
        Ok((covered != check.covered).then_some(decision))
    }

    /// Applies the entries of the transaction up to the first `after`.
    pub(crate) fn apply_until(&mut self, after: usize) -> Result<&mut AccountChanges> {
        let after = after.min(self.own.len());
        for (place, new) in self.own.iter().enumerate().take(after).skip(self.applied) {
            let Some(entry) = CreditEntry::of_new(new) else { continue };
            let own = |id: &str| self.own.iter().find(|own| own.id == id).map(|own| own.occurred_at);
            let reserved_at = reserved_at(self.store, &entry, new, own)?;
            let sequence = FIRST_UNCOMMITTED + place as u64;
            self.changes.apply(self.store, &entry, (sequence, reserved_at, new.late_usage_millis), self.now)?;
        }
        self.applied = self.applied.max(after);
        Ok(&mut self.changes)
    }

    fn decide_of_customer(
        &mut self,
        question: &BalanceQuestion,
        customer: &str,
        after: usize,
    ) -> Result<CreditDecision> {
        let effect = EntryKind::parse(&question.kind).and_then(BalanceEffect::of_kind);
        let Some(effect) = effect else { return Ok(CreditDecision::Covered(question.minor_units)) };
        let account = CustomerAccount {
            stream: question.stream.clone(),
            currency: question.currency.clone(),
            customer: customer.to_owned(),
        };
        let floor = floors::get(self.store, &account)?.map_or(question.floor, |floor| floor.minor_units);
        let entry = AccountEntry {
            id: &question.external_id,
            sequence: FIRST_UNCOMMITTED + after as u64,
            effect,
            minor_units: question.minor_units,
            occurred_at: question.occurred_at,
            of: question.of.as_deref(),
            terms: None,
            late_usage_millis: 0,
        };
        let (store, now, partial) = (self.store, self.now, question.partial);
        let key = keys::account(&question.stream, &question.currency, customer);
        self.apply_until(after)?.edit(store, &key, |edit| edit.decide(&entry, floor, partial, now))
    }

    /// An account of the stream has available what is posted, less what reservations take from it.
    fn decide_of_stream(&self, question: &BalanceQuestion, account: &str, after: usize) -> Result<CreditDecision> {
        let BalanceQuestion { stream, currency, minor_units, floor, .. } = question;
        let key = ledger_keys::account(stream, account, currency);
        let record: AccountRecord = self.store.record(LEDGER_ACCOUNTS, &key)?.unwrap_or_default();
        let outgoing: i128 = self.store.record(LEDGER_OUTGOING, &key)?.unwrap_or_default();
        let mut available = record.posted - outgoing;
        reservations::each_due(self.store, self.now, |entry| {
            if entry.stream == *stream && entry.currency == *currency {
                available += sums::outgoing(&entry.pending, true, account);
            }
            Ok(true)
        })?;
        for own in self.own.iter().take(after).filter(|own| own.stream == *stream && own.currency == *currency) {
            let posted = own.legs.iter().filter(|leg| leg.account == account);
            available += posted.map(|leg| i128::from(leg.minor_units)).sum::<i128>();
            available -= sums::outgoing(&own.pending, own.reservation.is_none(), account);
        }
        Ok(if available - i128::from(*minor_units) >= i128::from(*floor) {
            CreditDecision::Covered(*minor_units)
        } else {
            CreditDecision::Short { available, floor: *floor, needed: *minor_units }
        })
    }
}

/// The time of the reservation that an entry settles, if the terms of a grant depend on it. `own`
/// gives that of a reservation that is not written yet.
pub(crate) fn reserved_at(
    store: &impl ReadTx,
    entry: &CreditEntry<'_>,
    new: &NewEntry,
    own: impl Fn(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>> {
    let Some(id) = new.reservation.as_deref().filter(|_| entry.settles_grant()) else { return Ok(None) };
    match own(id) {
        Some(own) => Ok(Some(own)),
        None => Ok(reservations::reservation(store, id)?.map(|reservation| reservation.entry.occurred_at)),
    }
}
