//! The rows of one customer's account: what a store reads, and a transaction's changes on top.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::grant::{CreditGrant, GrantOrder};
use super::part::{GrantPart, PartSource};
use crate::ids::Timestamp;

/// Sums over an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSums {
    /// What was used or held beyond the grants and not paid since, in minor units.
    pub debt: i128,
    /// What reservations hold, debt included, in minor units.
    pub held: i128,
}

/// What an entry took from the account: used, or held by a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditUse {
    /// The external id of its entry; of a settlement, that of the reservation.
    pub id: String,
    /// The sequence number of the entry that took it.
    pub sequence: u64,
    /// The time of the usage.
    pub occurred_at: Timestamp,
    /// `Some` while a reservation holds it.
    pub hold: Option<CreditHold>,
    /// The parts that have not been returned, in the order in which they were taken; debt is last.
    pub parts: Vec<GrantPart>,
}

/// A reservation's hold on its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditHold {
    /// From this time on nothing is held, whether or not a timer has run.
    pub expires_at: Option<Timestamp>,
}

impl CreditUse {
    /// Its debt, in minor units.
    #[must_use]
    pub fn debt(&self) -> i64 {
        self.parts.iter().filter(|part| part.source == PartSource::Debt).map(|part| part.minor_units).sum()
    }

    /// The time at which its hold ends by itself.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.hold.and_then(|hold| hold.expires_at)
    }

    /// Its place in the order in which holds end by themselves.
    fn due_order(&self) -> Option<(Timestamp, u64)> {
        self.due().map(|due| (due, self.sequence))
    }
}

/// Reads the committed rows of one account.
pub trait AccountReader {
    /// Why the rows cannot be read.
    type Error;
    /// The sums.
    ///
    /// # Errors
    /// The rows cannot be read. So do the others.
    fn sums(&self) -> Result<AccountSums, Self::Error>;
    /// A grant by its external id.
    ///
    /// # Errors
    /// See [`AccountReader::sums`].
    fn grant(&self, id: &str) -> Result<Option<CreditGrant>, Self::Error>;
    /// The first grant after `after` in the order of usage that has something left.
    ///
    /// # Errors
    /// See [`AccountReader::sums`].
    fn next_grant(&self, after: Option<GrantOrder>) -> Result<Option<CreditGrant>, Self::Error>;
    /// What an entry took, by its external id.
    ///
    /// # Errors
    /// See [`AccountReader::sums`].
    fn credit_use(&self, id: &str) -> Result<Option<CreditUse>, Self::Error>;
    /// The first usage after the sequence number `after` that has debt.
    ///
    /// # Errors
    /// See [`AccountReader::sums`].
    fn next_debt(&self, after: Option<u64>) -> Result<Option<CreditUse>, Self::Error>;
    /// The first held usage after `after` by the time at which its hold ends by itself, then
    /// sequence number, if that time is `now` or earlier.
    ///
    /// # Errors
    /// See [`AccountReader::sums`].
    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Result<Option<CreditUse>, Self::Error>;
}

/// The changed rows of one account, with the orders in which the rules look for them. Each change
/// and each search takes logarithmic time, however many entries a transaction has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountRows {
    sums: Option<AccountSums>,
    /// By external id.
    grants: BTreeMap<String, CreditGrant>,
    /// By external id; `None` if it was returned as a whole before it was used.
    uses: BTreeMap<String, Option<CreditUse>>,
    /// Grants with something left.
    left: BTreeMap<GrantOrder, String>,
    /// Uses with debt.
    debts: BTreeMap<u64, String>,
    /// Holds that end by themselves.
    dues: BTreeMap<(Timestamp, u64), String>,
    passed: PassedRows,
}

/// How far all rows of the base are changed, in each order. A search begins there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct PassedRows {
    grant: Option<GrantOrder>,
    debt: Option<u64>,
    due: Option<(Timestamp, u64)>,
}

impl AccountRows {
    /// The sums, if they changed.
    #[must_use]
    pub const fn changed_sums(&self) -> Option<AccountSums> {
        self.sums
    }

    /// The changed grants, by external id.
    pub fn grants(&self) -> impl Iterator<Item = &CreditGrant> {
        self.grants.values()
    }

    /// The changed uses by external id; `None` if it was returned as a whole before it was used.
    pub fn uses(&self) -> impl Iterator<Item = (&str, Option<&CreditUse>)> {
        self.uses.iter().map(|(id, usage)| (id.as_str(), usage.as_ref()))
    }

    /// Changes the sums.
    pub const fn put_sums(&mut self, sums: AccountSums) {
        self.sums = Some(sums);
    }

    /// Changes or adds a grant.
    pub fn put_grant(&mut self, grant: CreditGrant) {
        if grant.left > 0 {
            self.left.insert(grant.order(), grant.id.clone());
        } else {
            self.left.remove(&grant.order());
        }
        self.grants.insert(grant.id.clone(), grant);
    }

    /// Changes or adds a use; `None` removes it.
    pub fn put_use(&mut self, id: String, usage: Option<CreditUse>) {
        if let Some(Some(before)) = self.uses.get(&id) {
            self.debts.remove(&before.sequence);
            if let Some(due) = before.due_order() {
                self.dues.remove(&due);
            }
        }
        if let Some(usage) = &usage {
            if usage.debt() > 0 {
                self.debts.insert(usage.sequence, id.clone());
            }
            if let Some(due) = usage.due_order() {
                self.dues.insert(due, id.clone());
            }
        }
        self.uses.insert(id, usage);
    }

    /// Takes in later changes.
    pub fn extend(&mut self, later: Self) {
        self.sums = later.sums.or(self.sums);
        later.grants.into_values().for_each(|grant| self.put_grant(grant));
        later.uses.into_iter().for_each(|(id, usage)| self.put_use(id, usage));
    }

    fn next_grant(&self, after: Option<GrantOrder>) -> Option<&CreditGrant> {
        self.grants.get(first_after(&self.left, after)?)
    }

    fn next_debt(&self, after: Option<u64>) -> Option<&CreditUse> {
        self.uses.get(first_after(&self.debts, after)?)?.as_ref()
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Option<&CreditUse> {
        let usage = self.uses.get(first_after(&self.dues, after)?)?.as_ref();
        usage.filter(|usage| usage.due().is_some_and(|due| due <= now))
    }
}

/// The external id of the first row after `after` in an order.
fn first_after<K: Ord + Copy>(order: &BTreeMap<K, String>, after: Option<K>) -> Option<&String> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    order.range((start, Bound::Unbounded)).next().map(|(_, id)| id)
}

/// An account in memory: complete rows, without a store. A harness and the check of a ledger use
/// it.
impl AccountReader for AccountRows {
    type Error = std::convert::Infallible;

    fn sums(&self) -> Result<AccountSums, Self::Error> {
        Ok(self.sums.unwrap_or_default())
    }

    fn grant(&self, id: &str) -> Result<Option<CreditGrant>, Self::Error> {
        Ok(self.grants.get(id).cloned())
    }

    fn next_grant(&self, after: Option<GrantOrder>) -> Result<Option<CreditGrant>, Self::Error> {
        Ok(self.next_grant(after).cloned())
    }

    fn credit_use(&self, id: &str) -> Result<Option<CreditUse>, Self::Error> {
        Ok(self.uses.get(id).cloned().flatten())
    }

    fn next_debt(&self, after: Option<u64>) -> Result<Option<CreditUse>, Self::Error> {
        Ok(self.next_debt(after).cloned())
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Result<Option<CreditUse>, Self::Error> {
        Ok(self.next_due(after, now).cloned())
    }
}

/// An account with changes that are not committed.
#[derive(Debug)]
pub struct AccountEdit<'a, R> {
    base: &'a R,
    changes: AccountRows,
}

impl<'a, R: AccountReader> AccountEdit<'a, R> {
    /// The account without changes.
    pub fn new(base: &'a R) -> Self {
        Self { base, changes: AccountRows::default() }
    }

    /// The account with changes from before. The rows of `base` must be those from before, too.
    pub const fn resume(base: &'a R, changes: AccountRows) -> Self {
        Self { base, changes }
    }

    /// The changed rows.
    #[must_use]
    pub fn into_changes(self) -> AccountRows {
        self.changes
    }

    pub(super) fn put_sums(&mut self, sums: AccountSums) {
        self.changes.put_sums(sums);
    }

    pub(super) fn put_grant(&mut self, grant: CreditGrant) {
        self.changes.put_grant(grant);
    }

    pub(super) fn put_use(&mut self, usage: CreditUse) {
        self.changes.put_use(usage.id.clone(), Some(usage));
    }

    pub(super) fn remove_use(&mut self, id: &str) {
        self.changes.put_use(id.to_owned(), None);
    }

    /// As [`AccountReader::next_grant`]. Remembers how far the base has only changed grants, so
    /// that no later search reads them.
    pub(super) fn find_grant(&mut self, after: Option<GrantOrder>) -> Result<Option<CreditGrant>, R::Error> {
        let mut passed = self.changes.passed.grant;
        let found = self.grant_after(after, &mut passed)?;
        self.changes.passed.grant = passed;
        Ok(found)
    }

    /// As [`AccountReader::next_debt`]; see [`AccountEdit::find_grant`].
    pub(super) fn find_debt(&mut self, after: Option<u64>) -> Result<Option<CreditUse>, R::Error> {
        let mut passed = self.changes.passed.debt;
        let found = self.debt_after(after, &mut passed)?;
        self.changes.passed.debt = passed;
        Ok(found)
    }

    /// As [`AccountReader::next_due`]; see [`AccountEdit::find_grant`].
    pub(super) fn find_due(
        &mut self,
        after: Option<(Timestamp, u64)>,
        now: Timestamp,
    ) -> Result<Option<CreditUse>, R::Error> {
        let mut passed = self.changes.passed.due;
        let found = self.due_after(after, now, &mut passed)?;
        self.changes.passed.due = passed;
        Ok(found)
    }

    fn grant_after(
        &self,
        after: Option<GrantOrder>,
        passed: &mut Option<GrantOrder>,
    ) -> Result<Option<CreditGrant>, R::Error> {
        let is_changed = |grant: &CreditGrant| self.changes.grants.contains_key(&grant.id);
        let stored = unchanged(after, passed, CreditGrant::order, is_changed, |after| self.base.next_grant(after))?;
        Ok(earlier(self.changes.next_grant(after), stored, CreditGrant::order))
    }

    fn debt_after(&self, after: Option<u64>, passed: &mut Option<u64>) -> Result<Option<CreditUse>, R::Error> {
        let is_changed = |usage: &CreditUse| self.changes.uses.contains_key(&usage.id);
        let order = |usage: &CreditUse| usage.sequence;
        let stored = unchanged(after, passed, order, is_changed, |after| self.base.next_debt(after))?;
        Ok(earlier(self.changes.next_debt(after), stored, order))
    }

    fn due_after(
        &self,
        after: Option<(Timestamp, u64)>,
        now: Timestamp,
        passed: &mut Option<(Timestamp, u64)>,
    ) -> Result<Option<CreditUse>, R::Error> {
        let is_changed = |usage: &CreditUse| self.changes.uses.contains_key(&usage.id);
        let order = |usage: &CreditUse| usage.due_order().unwrap_or((Timestamp::MAX, usage.sequence));
        let stored = unchanged(after, passed, order, is_changed, |after| self.base.next_due(after, now))?;
        Ok(earlier(self.changes.next_due(after, now), stored, order))
    }
}

/// The first row of the base after `after` that has no change. `passed` is how far all of them have
/// one; it moves on if the search begins there.
fn unchanged<T, K: Ord + Copy, E>(
    after: Option<K>,
    passed: &mut Option<K>,
    order: impl Fn(&T) -> K,
    is_changed: impl Fn(&T) -> bool,
    next: impl Fn(Option<K>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let begins_there = after <= *passed;
    let mut after = after.max(*passed);
    while let Some(row) = next(after)? {
        if !is_changed(&row) {
            return Ok(Some(row));
        }
        after = Some(order(&row));
        if begins_there {
            *passed = after;
        }
    }
    Ok(None)
}

/// The earlier of a changed row and a row of the base.
fn earlier<T: Clone, K: Ord>(changed: Option<&T>, stored: Option<T>, order: impl Fn(&T) -> K) -> Option<T> {
    match (changed, stored) {
        (Some(changed), Some(stored)) if order(&stored) < order(changed) => Some(stored),
        (None, stored) => stored,
        (changed, _) => changed.cloned(),
    }
}

impl<R: AccountReader> AccountReader for AccountEdit<'_, R> {
    type Error = R::Error;

    fn sums(&self) -> Result<AccountSums, Self::Error> {
        self.changes.sums.map_or_else(|| self.base.sums(), Ok)
    }

    fn grant(&self, id: &str) -> Result<Option<CreditGrant>, Self::Error> {
        self.changes.grants.get(id).map_or_else(|| self.base.grant(id), |grant| Ok(Some(grant.clone())))
    }

    fn next_grant(&self, after: Option<GrantOrder>) -> Result<Option<CreditGrant>, Self::Error> {
        self.grant_after(after, &mut self.changes.passed.grant.clone())
    }

    fn credit_use(&self, id: &str) -> Result<Option<CreditUse>, Self::Error> {
        self.changes.uses.get(id).map_or_else(|| self.base.credit_use(id), |usage| Ok(usage.clone()))
    }

    fn next_debt(&self, after: Option<u64>) -> Result<Option<CreditUse>, Self::Error> {
        self.debt_after(after, &mut self.changes.passed.debt.clone())
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Result<Option<CreditUse>, Self::Error> {
        self.due_after(after, now, &mut self.changes.passed.due.clone())
    }
}
