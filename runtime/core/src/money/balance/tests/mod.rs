//! Tests of a customer's account.

mod example;
mod laws;
mod model;

use super::{
    AccountChange, AccountEdit, AccountEntry, AccountReader as _, AccountRows, Balance, BalanceEffect, CreditDecision,
    CreditGrant, GrantPart, GrantTerms,
};
use crate::ids::Timestamp;
use crate::money::EntryKind;

fn at(time: u64) -> Timestamp {
    Timestamp::from_millis(time)
}

/// An account in memory with numbered entries. Every third entry ends a transaction.
#[derive(Debug, Default)]
struct Account {
    rows: AccountRows,
    open: AccountRows,
    sequence: u64,
}

impl Account {
    fn entry<'a>(&mut self, id: &'a str, kind: &str, minor_units: i64, time: u64) -> AccountEntry<'a> {
        self.sequence += 1;
        AccountEntry {
            id,
            sequence: self.sequence,
            effect: EntryKind::parse(kind).and_then(BalanceEffect::of_kind).unwrap(),
            minor_units,
            occurred_at: at(time),
            of: None,
            terms: None,
            late_usage_millis: 0,
        }
    }

    fn apply(&mut self, change: &AccountChange<'_>, now: u64) -> Vec<GrantPart> {
        let mut edit = AccountEdit::resume(&self.rows, std::mem::take(&mut self.open));
        let parts = edit.apply(change, at(now)).unwrap();
        self.open = edit.into_changes();
        if self.sequence.is_multiple_of(3) {
            self.rows.extend(std::mem::take(&mut self.open));
        }
        parts
    }

    fn decide(&self, entry: &AccountEntry<'_>, floor: i64, partial: bool, now: u64) -> CreditDecision {
        AccountEdit::resume(&self.rows, self.open.clone()).decide(entry, floor, partial, at(now)).unwrap()
    }

    fn balance(&self, now: u64) -> Balance {
        AccountEdit::resume(&self.rows, self.open.clone()).balance(at(now)).unwrap()
    }

    fn grant(&self, id: &str) -> CreditGrant {
        AccountEdit::resume(&self.rows, self.open.clone()).grant(id).unwrap().unwrap()
    }

    /// What all grants have left and held.
    fn granted(&self) -> i64 {
        let mut rows = self.rows.clone();
        rows.extend(self.open.clone());
        rows.grants().map(|grant| grant.left + grant.held).sum()
    }

    fn available(&self, now: u64) -> i128 {
        self.balance(now).available
    }
}

fn terms(metadata: &str, time: u64) -> Option<GrantTerms> {
    Some(GrantTerms::read(metadata, at(time)).unwrap())
}
