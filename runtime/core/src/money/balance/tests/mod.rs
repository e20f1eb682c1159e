//! Tests of a customer's account.

mod example;
mod laws;
mod model;

use super::{
    AccountChange, AccountEdit, AccountEntry, AccountRows, Balance, BalanceEffect, CreditDecision, GrantPart,
    GrantTerms,
};
use crate::ids::Timestamp;
use crate::money::EntryKind;

fn at(time: u64) -> Timestamp {
    Timestamp::from_millis(time)
}

/// An account in memory with numbered entries.
#[derive(Debug, Default)]
struct Account {
    rows: AccountRows,
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
        let mut edit = AccountEdit::new(&self.rows);
        let parts = edit.apply(change, at(now)).unwrap();
        let changes = edit.into_changes();
        self.rows.extend(changes);
        parts
    }

    fn decide(&self, entry: &AccountEntry<'_>, floor: i64, partial: bool, now: u64) -> CreditDecision {
        AccountEdit::new(&self.rows).decide(entry, floor, partial, at(now)).unwrap()
    }

    fn balance(&self, now: u64) -> Balance {
        AccountEdit::new(&self.rows).balance(at(now)).unwrap()
    }

    fn available(&self, now: u64) -> i128 {
        self.balance(now).available
    }
}

fn terms(metadata: &str, time: u64) -> Option<GrantTerms> {
    Some(GrantTerms::read(metadata, at(time)).unwrap())
}
