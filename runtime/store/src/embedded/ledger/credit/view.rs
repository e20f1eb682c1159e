//! Reads of customers' accounts: as they are, and as they were after an earlier entry.

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{AccountEdit, Balance, CreditGrant};

use crate::embedded::codec::decode;
use crate::embedded::ledger::credit::account::{CreditAccountRecord, StoredAccount};
use crate::embedded::ledger::credit::{floors, keys, past, question};
use crate::embedded::ledger::entries;
use crate::embedded::ledger::keys::{sequence, stream_and_rest, text};
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_GRANTS, LEDGER_STREAMS, name_key};
use crate::embedded::tx::{Key, ReadTx, Value, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{AsOf, BalanceFilter, CustomerAccount, CustomerBalance, OwnEntries, Page, PageRequest};

/// Maximum number of grants that are shown of one account.
const GRANTS: usize = 500;

/// Returns what an account has after the entries of a transaction, and the floor of its customer.
pub(crate) fn balance(
    store: &impl ReadTx,
    account: &CustomerAccount,
    own: &mut OwnEntries,
    now: Timestamp,
) -> Result<(Balance, Option<i64>)> {
    let floor = floors::get(store, account)?.map(|floor| floor.minor_units);
    Ok((question::balance_after(store, account, own, now)?, floor))
}

/// Returns a page of accounts, by stream, currency and customer, as they are at `now` or were
/// `as_of` an entry or a time.
pub(crate) fn page(
    store: &impl ReadTx,
    filter: &BalanceFilter,
    page: &PageRequest,
    as_of: Option<AsOf>,
    now: Timestamp,
) -> Result<Page<CustomerBalance>> {
    let rows = match &filter.customer {
        Some(customer) => accounts_of(store, filter, customer, page)?,
        None => {
            let prefix = filter.stream.as_ref().map(|stream| name_key(stream.as_str(), &[])).unwrap_or_default();
            let row =
                |(key, bytes): (Key, Value)| Ok::<_, StoreError>((key.to_vec(), decode(CREDIT_ACCOUNTS, &bytes)?));
            store.page(CREDIT_ACCOUNTS, &prefix, false, page)?.try_map(row)?
        }
    };
    let then = as_of.map(|as_of| moment(store, as_of, now)).transpose()?;
    rows.try_map(|(key, record): (Vec<u8>, CreditAccountRecord)| {
        let account = keys::account_of(&key)?;
        let floor = floors::get(store, &account)?.map(|floor| floor.minor_units);
        let (balance, grants) = match then {
            Some((through, at)) => {
                let rows = past::rows_through(store, record.number, through)?;
                // Nothing can fail in memory.
                let Ok(balance) = AccountEdit::new(&rows).balance(at);
                (balance, rows.grants().cloned().collect())
            }
            None => {
                let balance = AccountEdit::new(&StoredAccount::new(store, record)).balance(now)?;
                (balance, grants_of(store, record.number)?)
            }
        };
        Ok(CustomerBalance { account, balance, floor, grants: in_order(grants) })
    })
}

/// Returns the sequence number of the last entry that counts, and the time.
fn moment(store: &impl ReadTx, as_of: AsOf, now: Timestamp) -> Result<(u64, Timestamp)> {
    Ok(match as_of {
        AsOf::Sequence(sequence) => (sequence, entries::at(store, sequence)?.map_or(now, |entry| entry.posted_at)),
        AsOf::Time(time) => (entries::first_posted_from(store, time.plus_millis(1))?.saturating_sub(1), time),
    })
}

/// Returns the accounts of one customer: one for each stream and currency at most.
fn accounts_of(
    store: &impl ReadTx,
    filter: &BalanceFilter,
    customer: &str,
    page: &PageRequest,
) -> Result<Page<(Vec<u8>, CreditAccountRecord)>> {
    let prefix = filter.stream.as_ref().map(|stream| name_key(stream.as_str(), &[])).unwrap_or_default();
    let mut items = Vec::new();
    let mut more = false;
    store.each_while(LEDGER_STREAMS, prefix_range(&prefix), |row, _| {
        let (stream, currency) = stream_and_rest(row)?;
        let key = keys::account(&stream, text(currency)?, customer);
        let follows = page.cursor.as_ref().is_none_or(|cursor| key > *cursor);
        if let Some(record) = store.record(CREDIT_ACCOUNTS, &key)?.filter(|_| follows) {
            more = items.len() == page.limit.max(1);
            if !more {
                items.push((key, record));
            }
        }
        Ok(!more)
    })?;
    let next = if more { items.last().map(|(key, _)| key.clone()) } else { None };
    Ok(Page { items, next })
}

fn grants_of(store: &impl ReadTx, account: u64) -> Result<Vec<CreditGrant>> {
    let mut grants = Vec::new();
    store.each_while(CREDIT_GRANTS, prefix_range(&sequence(account)), |_, bytes| {
        let grant: CreditGrant = decode(CREDIT_GRANTS, bytes)?;
        if grant.left > 0 || grant.held > 0 {
            grants.push(grant);
        }
        Ok(grants.len() < GRANTS)
    })?;
    Ok(grants)
}

fn in_order(grants: Vec<CreditGrant>) -> Vec<CreditGrant> {
    let mut grants: Vec<_> = grants.into_iter().filter(|grant| grant.left > 0 || grant.held > 0).collect();
    grants.sort_by_key(CreditGrant::order);
    grants.truncate(GRANTS);
    grants
}

/// Visits the accounts whose sums or grants differ from their entries.
pub(crate) fn each_difference(store: &impl ReadTx, problem: &mut dyn FnMut(String)) -> Result<()> {
    store.each(CREDIT_ACCOUNTS, prefix_range(&[]), |key, bytes| {
        let record: CreditAccountRecord = decode(CREDIT_ACCOUNTS, bytes)?;
        let CustomerAccount { stream, currency, customer } = keys::account_of(key)?;
        let counted = past::recounted_rows(store, record.number)?;
        if counted.changed_sums().unwrap_or_default() != record.sums {
            problem(format!(
                "the debt or the holds of customer `{customer}` of {stream} in {currency} differ from the entries"
            ));
        }
        for grant in counted.grants() {
            let id = &grant.id;
            let stored: Option<CreditGrant> = store.record(CREDIT_GRANTS, &keys::named(record.number, id))?;
            if stored.as_ref() != Some(grant) {
                problem(format!("grant `{id}` of customer `{customer}` of {stream} differs from the entries"));
            }
        }
        Ok(())
    })
}
