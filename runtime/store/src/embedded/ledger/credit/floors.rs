//! The floors of customers' accounts that an operator set.

use tidemill_core::Timestamp;

use crate::embedded::ledger::credit::keys;
use crate::embedded::ledger::findings::book::FindingBook;
use crate::embedded::ledger::findings::floors::MovedAccount;
use crate::embedded::tables::CREDIT_FLOORS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{CustomerAccount, CustomerFloor};

fn key(account: &CustomerAccount) -> Vec<u8> {
    keys::account(&account.stream, &account.currency, &account.customer)
}

/// Returns the floor of a customer; `None` if the deployment's applies.
pub(crate) fn get(store: &impl ReadTx, account: &CustomerAccount) -> Result<Option<CustomerFloor>> {
    store.record(CREDIT_FLOORS, &key(account))
}

/// Sets the floor of a customer; `None` removes it. An account that is below its floor is judged
/// again.
pub(crate) fn set(
    commit: &mut WriteTx<'_, '_>,
    account: &CustomerAccount,
    floor: Option<&CustomerFloor>,
    now: Timestamp,
) -> Result<()> {
    let key = key(account);
    match floor {
        Some(floor) => commit.put_record(CREDIT_FLOORS, &key, floor)?,
        None => commit.delete(CREDIT_FLOORS, &key),
    }
    let account = MovedAccount { key, floor: None };
    if account.is_judged(commit)? {
        let mut book = FindingBook::open(commit, now)?;
        account.judge(commit, &mut book, now)?;
        book.finish(commit)?;
    }
    Ok(())
}
