//! The floors of customers' accounts that an operator set.

use crate::embedded::ledger::credit::keys;
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

/// Sets the floor of a customer; `None` removes it.
pub(crate) fn set(
    commit: &mut WriteTx<'_, '_>,
    account: &CustomerAccount,
    floor: Option<&CustomerFloor>,
) -> Result<()> {
    match floor {
        Some(floor) => commit.put_record(CREDIT_FLOORS, &key(account), floor),
        None => {
            commit.delete(CREDIT_FLOORS, &key(account));
            Ok(())
        }
    }
}
