//! The part of customers' accounts in the store's contract.

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_core::money::balance::Balance;

use crate::embedded::ledger::credit::question::BalanceDecider;
use crate::embedded::ledger::credit::{floors, keys, lapse, question, view};
use crate::embedded::ledger::findings;
use crate::embedded::ledger::findings::floors::MovedAccount;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tx::WriteTx;
use crate::error::Result;
use crate::records::{
    AsOf, BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, CustomerAccount, CustomerBalance,
    CustomerFloor, DueBatch, NewEntry, OwnEntries, Page, PageRequest,
};
use crate::traits::BalanceStore;

#[async_trait]
impl BalanceStore for EmbeddedStore {
    async fn decide(
        &self,
        question: &BalanceQuestion,
        own: &mut OwnEntries,
        now: Timestamp,
    ) -> Result<BalanceDecision> {
        question::decide_after(&self.snapshot(), question, own, now)
    }

    async fn decisions_hold(&self, checks: &[BalanceCheck], own: &[NewEntry], now: Timestamp) -> Result<bool> {
        let store = self.snapshot();
        let mut decider = BalanceDecider::new(&store, own, now);
        for check in checks {
            if decider.changed(check)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn balance(
        &self,
        account: &CustomerAccount,
        own: &mut OwnEntries,
        now: Timestamp,
    ) -> Result<(Balance, Option<i64>)> {
        view::balance(&self.snapshot(), account, own, now)
    }

    async fn balances(
        &self,
        filter: &BalanceFilter,
        page: PageRequest,
        as_of: Option<AsOf>,
        now: Timestamp,
    ) -> Result<Page<CustomerBalance>> {
        view::page(&self.snapshot(), filter, &page, as_of, now)
    }

    async fn customer_floor(&self, account: &CustomerAccount) -> Result<Option<CustomerFloor>> {
        floors::get(self.latest(), account)
    }

    async fn set_customer_floor(
        &self,
        account: CustomerAccount,
        floor: Option<CustomerFloor>,
        now: Timestamp,
    ) -> Result<()> {
        let key = keys::account(&account.stream, &account.currency, &account.customer);
        let set = move |c: &mut WriteTx<'_, '_>| {
            floors::set(c, &account, floor.as_ref())?;
            findings::judge_account(c, MovedAccount { key: key.clone(), floor: None }, now)
        };
        self.commit(set).await
    }

    async fn lapse_grants(&self, now: Timestamp, limit: usize) -> Result<DueBatch> {
        // Most ticks find nothing, and then nothing is committed.
        let found = lapse::next_end(self.latest())?;
        if found.is_none_or(|next| next > now) {
            return Ok(DueBatch { done: 0, next: found });
        }
        self.commit(move |c| lapse::lapse(c, now, limit)).await
    }
}
