//! The stored rows of one account: reads them for the rules, and writes what the rules changed.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::balance::{AccountReader, AccountRows, AccountSums, CreditGrant, CreditUse, GrantOrder};

use crate::embedded::codec::encode;
use crate::embedded::ledger::credit::keys;
use crate::embedded::ledger::rows::Row;
use crate::embedded::tables::{CREDIT_ENDS, CREDIT_GRANTS, CREDIT_ORDERS, CREDIT_USES};
use crate::embedded::tx::{ReadTx, Table, WriteTx, prefix_range};
use crate::error::{Result, StoreError};

/// An account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CreditAccountRecord {
    /// The sequence number of its first entry, which its other rows begin with; 0 if it has none.
    pub(crate) number: u64,
    /// The number of its entries until the next checkpoint.
    pub(crate) until_checkpoint: u64,
    /// Debt and holds.
    pub(crate) sums: AccountSums,
}

/// The stored rows of an account.
pub(crate) struct StoredAccount<'s, R> {
    store: &'s R,
    record: CreditAccountRecord,
}

impl<'s, R: ReadTx> StoredAccount<'s, R> {
    pub(crate) const fn new(store: &'s R, record: CreditAccountRecord) -> Self {
        Self { store, record }
    }

    /// The external id in the first row of an order after `after`, and before `end`.
    fn next_id(&self, order: u8, after: Option<Vec<u8>>, end: Option<Vec<u8>>) -> Result<Option<String>> {
        let all = prefix_range(&keys::orders(self.record.number, order));
        let start = after.map_or(all.start, |after| [&after[..], &[0]].concat());
        let range: Range<Vec<u8>> = start..end.unwrap_or(all.end);
        if range.is_empty() {
            return Ok(None);
        }
        let found = self.store.range(CREDIT_ORDERS, range, false, 1)?;
        let Some((_, id)) = found.first() else { return Ok(None) };
        Ok(Some(crate::embedded::ledger::keys::text(id)?.to_owned()))
    }

    fn named<T: serde::de::DeserializeOwned>(&self, table: Table, id: Option<String>) -> Result<Option<T>> {
        let Some(id) = id else { return Ok(None) };
        let row = self.store.record(table, &keys::named(self.record.number, &id))?;
        row.map(Some).ok_or_else(|| StoreError::Damaged { what: format!("the credit row of `{id}` is missing") })
    }
}

impl<R: ReadTx> AccountReader for StoredAccount<'_, R> {
    type Error = StoreError;

    fn sums(&self) -> Result<AccountSums> {
        Ok(self.record.sums)
    }

    fn grant(&self, id: &str) -> Result<Option<CreditGrant>> {
        self.store.record(CREDIT_GRANTS, &keys::named(self.record.number, id))
    }

    fn next_grant(&self, after: Option<GrantOrder>) -> Result<Option<CreditGrant>> {
        let after = after.map(|order| keys::left(self.record.number, order));
        self.named(CREDIT_GRANTS, self.next_id(keys::LEFT, after, None)?)
    }

    fn credit_use(&self, id: &str) -> Result<Option<CreditUse>> {
        self.store.record(CREDIT_USES, &keys::named(self.record.number, id))
    }

    fn next_debt(&self, after: Option<u64>) -> Result<Option<CreditUse>> {
        let after = after.map(|number| keys::debt(self.record.number, number));
        self.named(CREDIT_USES, self.next_id(keys::DEBTS, after, None)?)
    }

    fn next_due(&self, after: Option<(Timestamp, u64)>, now: Timestamp) -> Result<Option<CreditUse>> {
        let after = after.map(|(end, number)| keys::hold(self.record.number, end, number));
        let until = keys::hold(self.record.number, now.plus_millis(1), 0);
        self.named(CREDIT_USES, self.next_id(keys::HOLDS, after, Some(until))?)
    }
}

/// The rows by which the rules find a grant, or what an entry used.
pub(crate) type OrderRows = [Option<Row>; 2];

/// The rows by which the rules find a grant: its order, and the time at which its rest lapses.
pub(crate) fn rows_of_grant(account: u64, grant: &CreditGrant) -> OrderRows {
    let left =
        (grant.left > 0).then(|| (CREDIT_ORDERS, keys::left(account, grant.order()), grant.id.as_bytes().to_vec()));
    let end = grant.closes_at.filter(|_| grant.left > 0 && grant.held == 0);
    [left, end.map(|end| (CREDIT_ENDS, keys::end(end, grant.sequence), Vec::new()))]
}

/// The rows by which the rules find what an entry used: its debt, and the end of its hold.
pub(crate) fn rows_of_use(account: u64, used: &CreditUse) -> OrderRows {
    let id = || used.id.as_bytes().to_vec();
    let debt = (used.debt() > 0).then(|| (CREDIT_ORDERS, keys::debt(account, used.sequence), id()));
    [debt, used.due().map(|end| (CREDIT_ORDERS, keys::hold(account, end, used.sequence), id()))]
}

/// Writes the changed rows of an account.
pub(crate) fn write(commit: &mut WriteTx<'_, '_>, account: u64, rows: &AccountRows) -> Result<()> {
    for grant in rows.grants() {
        let key = keys::named(account, &grant.id);
        let before: Option<CreditGrant> = commit.record(CREDIT_GRANTS, &key)?;
        let before = before.map(|grant| rows_of_grant(account, &grant)).unwrap_or_default();
        replace(commit, before, rows_of_grant(account, grant));
        commit.put(CREDIT_GRANTS, &key, &encode(grant)?);
    }
    for (id, used) in rows.uses() {
        let key = keys::named(account, id);
        let before: Option<CreditUse> = commit.record(CREDIT_USES, &key)?;
        let is_stored = before.is_some();
        let before = before.map(|used| rows_of_use(account, &used)).unwrap_or_default();
        replace(commit, before, used.map(|used| rows_of_use(account, used)).unwrap_or_default());
        match used {
            Some(used) => commit.put(CREDIT_USES, &key, &encode(used)?),
            None if is_stored => commit.delete(CREDIT_USES, &key),
            None => {}
        }
    }
    Ok(())
}

fn replace(commit: &mut WriteTx<'_, '_>, before: OrderRows, after: OrderRows) {
    for (before, after) in before.into_iter().zip(after) {
        if before == after {
            continue;
        }
        if let Some((table, key, _)) = before {
            commit.delete(table, &key);
        }
        if let Some((table, key, value)) = after {
            commit.put(table, &key, &value);
        }
    }
}
