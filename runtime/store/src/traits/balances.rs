//! Accounts of customers, and the floors of accounts.

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_core::money::balance::Balance;

use crate::error::StoreError;
use crate::records::{
    AsOf, BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, CustomerAccount, CustomerBalance,
    CustomerFloor, DueBatch, NewEntry, OwnEntries, Page, PageRequest,
};

/// Accounts of customers. Entries move them in their own commit.
#[async_trait]
pub trait BalanceStore: Send + Sync + 'static {
    /// Answers what an entry may take from an account or a budget at `now`, after the entries `own`
    /// on it that its transaction has not committed. Applies those that it has not seen yet, or
    /// all if another commit has moved the account.
    async fn decide(
        &self,
        question: &BalanceQuestion,
        own: &mut OwnEntries,
        now: Timestamp,
    ) -> Result<BalanceDecision, StoreError>;
    /// Returns whether each question still has its answer, if the entries `own` are all that the
    /// transaction has not committed.
    async fn decisions_hold(
        &self,
        checks: &[BalanceCheck],
        own: &[NewEntry],
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Returns what an account has at `now`, after the entries `own` of a transaction on it, and
    /// the floor of its customer, if one was set. See [`BalanceStore::decide`].
    async fn balance(
        &self,
        account: &CustomerAccount,
        own: &mut OwnEntries,
        now: Timestamp,
    ) -> Result<(Balance, Option<i64>), StoreError>;
    /// Lists accounts by stream, currency and customer as they are at `now`, or as they were after
    /// the entry that `as_of` names, at its time.
    async fn balances(
        &self,
        filter: &BalanceFilter,
        page: PageRequest,
        as_of: Option<AsOf>,
        now: Timestamp,
    ) -> Result<Page<CustomerBalance>, StoreError>;
    /// Returns the floor of a customer; `None` if that of the deployment applies.
    async fn customer_floor(&self, account: &CustomerAccount) -> Result<Option<CustomerFloor>, StoreError>;
    /// Sets the floor of a customer; `None` removes it. A finding that the account is below its
    /// floor is explained if it no longer is.
    async fn set_customer_floor(
        &self,
        account: CustomerAccount,
        floor: Option<CustomerFloor>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Posts what at most `limit` grants have left after their expiry.
    async fn lapse_grants(&self, now: Timestamp, limit: usize) -> Result<DueBatch, StoreError>;
}
