//! The rows of one customer's account: what a store reads, and a transaction's changes on top.

use std::collections::BTreeMap;

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

/// The changed rows of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountRows {
    /// The sums, if they changed.
    pub sums: Option<AccountSums>,
    /// Changed grants, by external id.
    pub grants: BTreeMap<String, CreditGrant>,
    /// Changed uses, by external id; `None` if it was returned as a whole before it was used.
    pub uses: BTreeMap<String, Option<CreditUse>>,
}

impl AccountRows {
    /// Takes in later changes.
    pub fn extend(&mut self, later: Self) {
        self.sums = later.sums.or(self.sums);
        self.grants.extend(later.grants);
        self.uses.extend(later.uses);
    }

    fn least<'a, T: 'a, K: Ord + Copy>(
        rows: impl Iterator<Item = &'a T>,
        key: impl Fn(&T) -> Option<K>,
        after: Option<K>,
    ) -> Option<&'a T> {
        rows.filter_map(|row| Some((key(row)?, row)))
            .filter(|(key, _)| after.is_none_or(|after| *key > after))
            .min_by_key(|(key, _)| *key)
            .map(|(_, row)| row)
    }

    fn next_grant(&self, after: Option<GrantOrder>) -> Option<&CreditGrant> {
        Self::least(self.grants.values(), |grant| (grant.left > 0).then(|| grant.order()), after)
    }

    fn next_debt(&self, after: Option<u64>) -> Option<&CreditUse> {
        Self::least(self.uses.values().flatten(), |usage| (usage.debt() > 0).then_some(usage.sequence), after)
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Option<&CreditUse> {
        let due = |usage: &CreditUse| usage.due().filter(|due| *due <= now).map(|due| (due, usage.sequence));
        Self::least(self.uses.values().flatten(), due, after)
    }
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

    /// The account with changes from before.
    pub const fn resume(base: &'a R, changes: AccountRows) -> Self {
        Self { base, changes }
    }

    /// The changed rows.
    #[must_use]
    pub fn into_changes(self) -> AccountRows {
        self.changes
    }

    pub(super) fn put_sums(&mut self, sums: AccountSums) {
        self.changes.sums = Some(sums);
    }

    pub(super) fn put_grant(&mut self, grant: CreditGrant) {
        self.changes.grants.insert(grant.id.clone(), grant);
    }

    pub(super) fn put_use(&mut self, usage: CreditUse) {
        self.changes.uses.insert(usage.id.clone(), Some(usage));
    }

    pub(super) fn remove_use(&mut self, id: &str) {
        self.changes.uses.insert(id.to_owned(), None);
    }
}

/// The first row of the base that has no change, and the first changed row, whichever is first.
fn merged<T: Clone, K: Ord + Copy, E>(
    changed: Option<&T>,
    after: Option<K>,
    key: impl Fn(&T) -> Option<K>,
    is_changed: impl Fn(&T) -> bool,
    next: impl Fn(Option<K>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let mut after = after;
    let stored = loop {
        let Some(row) = next(after)? else { break None };
        if !is_changed(&row) {
            break Some(row);
        }
        after = key(&row);
    };
    Ok(match (stored, changed) {
        (Some(stored), Some(changed)) if key(changed) < key(&stored) => Some(changed.clone()),
        (None, changed) => changed.cloned(),
        (stored, _) => stored,
    })
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
        let is_changed = |grant: &CreditGrant| self.changes.grants.contains_key(&grant.id);
        let changed = self.changes.next_grant(after);
        merged(changed, after, |grant| Some(grant.order()), is_changed, |after| self.base.next_grant(after))
    }

    fn credit_use(&self, id: &str) -> Result<Option<CreditUse>, Self::Error> {
        self.changes.uses.get(id).map_or_else(|| self.base.credit_use(id), |usage| Ok(usage.clone()))
    }

    fn next_debt(&self, after: Option<u64>) -> Result<Option<CreditUse>, Self::Error> {
        let is_changed = |usage: &CreditUse| self.changes.uses.contains_key(&usage.id);
        let changed = self.changes.next_debt(after);
        merged(changed, after, |usage| Some(usage.sequence), is_changed, |after| self.base.next_debt(after))
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Result<Option<CreditUse>, Self::Error> {
        let is_changed = |usage: &CreditUse| self.changes.uses.contains_key(&usage.id);
        let key = |usage: &CreditUse| usage.due().map(|due| (due, usage.sequence));
        let changed = self.changes.next_due(after, now);
        merged(changed, after, key, is_changed, |after| self.base.next_due(after, now))
    }
}
