//! Reads of customers' accounts: as they are, and as they were after an earlier entry.

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{
    AccountEdit, AccountEntry, AccountRows, Balance, CreditGrant, GRANT_PRIORITY, GrantKind, GrantTerms,
};

use crate::embedded::codec::decode;
use crate::embedded::ledger::credit::account::{CreditAccountRecord, StoredAccount};
use crate::embedded::ledger::credit::deltas::{CreditDelta, OpenHolds};
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::question::CreditDecider;
use crate::embedded::ledger::credit::{floors, keys, recount};
use crate::embedded::ledger::entries::{self, EntryReader};
use crate::embedded::ledger::keys::{sequence, sequence_at_end, stream_and_rest, text};
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_ENTRIES, CREDIT_GRANTS, LEDGER_STREAMS, name_key};
use crate::embedded::tx::{Key, ReadTx, Value, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{AsOf, BalanceFilter, CustomerAccount, CustomerBalance, NewEntry, Page, PageRequest};

/// Maximum number of grants that are shown of one account.
const GRANTS: usize = 500;

/// Returns what an account has after the given entries of a transaction.
pub(crate) fn balance(
    store: &impl ReadTx,
    account: &CustomerAccount,
    own: &[NewEntry],
    now: Timestamp,
) -> Result<(Balance, Option<i64>)> {
    let key = keys::account(&account.stream, &account.currency, &account.customer);
    let floor = floors::get(store, account)?.map(|floor| floor.minor_units);
    let mut decider = CreditDecider::new(store, own, now);
    let balance = decider.apply_until(own.len())?.edit(store, &key, |edit| edit.balance(now))?;
    Ok((balance, floor))
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
                let rows = rows_through(store, record.number, through)?;
                // Nothing can fail in memory.
                let Ok(balance) = AccountEdit::new(&rows).balance(at);
                (balance, rows.grants.into_values().collect())
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

/// Returns the rows of an account after the entries up to a sequence number. Of what entries have
/// used, only what is held is among them.
pub(crate) fn rows_through(store: &impl ReadTx, account: u64, through: u64) -> Result<AccountRows> {
    let mut rows = AccountRows::default();
    let mut holds = OpenHolds::default();
    let mut sums = tidemill_core::money::balance::AccountSums::default();
    let mut reader = EntryReader::new(store);
    let range = prefix_range(&sequence(account)).start..keys::entry(account, through.saturating_add(1));
    store.each(CREDIT_ENTRIES, range, |key, _| {
        let stored = reader.named(sequence_at_end(key)?)?;
        let Some(entry) = CreditEntry::of_stored(&stored) else { return Ok(()) };
        let change = recount::change_of(store, &entry, &stored)?;
        holds.visit(account, &change, &stored.parts, &mut |delta| match delta {
            CreditDelta::NewGrant(entry, kind, granted) => {
                let grant = CreditGrant { left: 0, ..new_grant(entry, kind, granted) };
                rows.grants.insert(grant.id.clone(), grant);
            }
            CreditDelta::Grant { id, left, held } => {
                if let Some(grant) = rows.grants.get_mut(id) {
                    grant.left += left;
                    grant.held += held;
                }
            }
            CreditDelta::Sums { debt, held } => {
                sums.debt += i128::from(debt);
                sums.held += i128::from(held);
            }
            CreditDelta::Use { .. } | CreditDelta::Part { .. } => {}
        });
        Ok(())
    })?;
    // No entry has the time until which late usage is covered.
    for (id, grant) in &mut rows.grants {
        let stored: Option<CreditGrant> = store.record(CREDIT_GRANTS, &keys::named(account, id))?;
        grant.closes_at = stored.map_or(grant.closes_at, |stored| stored.closes_at);
    }
    rows.sums = Some(sums);
    rows.uses = holds.0.into_iter().map(|((_, id), used)| (id, Some(used))).collect();
    Ok(rows)
}

/// A grant as its entry made it.
pub(crate) fn new_grant(entry: &AccountEntry<'_>, kind: GrantKind, granted: i64) -> CreditGrant {
    let default = GrantTerms { priority: GRANT_PRIORITY, starts_at: entry.occurred_at, expires_at: None };
    let terms = entry.terms.unwrap_or(default);
    CreditGrant {
        id: entry.id.to_owned(),
        kind,
        priority: terms.priority,
        starts_at: terms.starts_at,
        expires_at: terms.expires_at,
        closes_at: terms.expires_at.map(|end| end.plus_millis(entry.late_usage_millis)),
        sequence: entry.sequence,
        granted,
        left: granted,
        held: 0,
    }
}

/// Visits the accounts whose sums or grants differ from their entries.
pub(crate) fn each_difference(store: &impl ReadTx, problem: &mut dyn FnMut(String)) -> Result<()> {
    store.each(CREDIT_ACCOUNTS, prefix_range(&[]), |key, bytes| {
        let record: CreditAccountRecord = decode(CREDIT_ACCOUNTS, bytes)?;
        let CustomerAccount { stream, currency, customer } = keys::account_of(key)?;
        let counted = rows_through(store, record.number, u64::MAX - 1)?;
        if counted.sums.unwrap_or_default() != record.sums {
            problem(format!(
                "the debt or the holds of customer `{customer}` of {stream} in {currency} differ from the entries"
            ));
        }
        for (id, grant) in counted.grants {
            let stored: Option<CreditGrant> = store.record(CREDIT_GRANTS, &keys::named(record.number, &id))?;
            if stored.as_ref() != Some(&grant) {
                problem(format!("grant `{id}` of customer `{customer}` of {stream} differs from the entries"));
            }
        }
        Ok(())
    })
}
