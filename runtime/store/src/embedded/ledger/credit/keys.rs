//! The keys of the tables of customers' accounts.

use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::balance::GrantOrder;

use crate::embedded::ledger::keys::{self, sequence, stream_and_rest, text};
use crate::embedded::tables::{name_key, time_key};
use crate::error::Result;
use crate::records::CustomerAccount;

/// What precedes the order of a grant with something left.
pub(crate) const LEFT: u8 = 0;
/// What precedes the sequence number of an entry with debt.
pub(crate) const DEBTS: u8 = 1;
/// What precedes the time of the end of a hold.
pub(crate) const HOLDS: u8 = 2;

/// The key of an account. The customer is last, because it may contain NUL.
pub(crate) fn account(stream: &LedgerStream, currency: &str, customer: &str) -> Vec<u8> {
    name_key(stream.as_str(), &name_key(currency, customer.as_bytes()))
}

/// Reads a key made by [`account`].
pub(crate) fn account_of(key: &[u8]) -> Result<CustomerAccount> {
    let (stream, rest) = stream_and_rest(key)?;
    let (currency, customer) = text(rest)?.split_once('\0').ok_or_else(keys::unreadable)?;
    Ok(CustomerAccount { stream, currency: currency.to_owned(), customer: customer.to_owned() })
}

/// The key of a grant, or of what an entry used, in an account.
pub(crate) fn named(account: u64, id: &str) -> Vec<u8> {
    [&sequence(account)[..], id.as_bytes()].concat()
}

/// Reads the account and the external id in a key made by [`named`].
pub(crate) fn name_of(key: &[u8]) -> Result<(u64, &str)> {
    let (account, id) = key.split_first_chunk::<8>().ok_or_else(keys::unreadable)?;
    Ok((u64::from_be_bytes(*account), text(id)?))
}

/// The prefix of one kind of order in an account.
pub(crate) fn orders(account: u64, order: u8) -> Vec<u8> {
    [&sequence(account)[..], &[order]].concat()
}

/// The key of a grant that has something left.
pub(crate) fn left(account: u64, order: GrantOrder) -> Vec<u8> {
    [&orders(account, LEFT)[..], &order.to_bytes()].concat()
}

/// The key of an entry with debt.
pub(crate) fn debt(account: u64, number: u64) -> Vec<u8> {
    [&orders(account, DEBTS)[..], &sequence(number)].concat()
}

/// The key of a hold that ends by itself.
pub(crate) fn hold(account: u64, end: Timestamp, number: u64) -> Vec<u8> {
    [&orders(account, HOLDS)[..], &time_key(end, &sequence(number))].concat()
}

/// The key of an entry that moved an account.
pub(crate) fn entry(account: u64, number: u64) -> Vec<u8> {
    [sequence(account), sequence(number)].concat()
}

/// Reads the account and the sequence number in a key made by [`entry`].
pub(crate) fn entry_of(key: &[u8]) -> Result<(u64, u64)> {
    let (account, _) = key.split_first_chunk::<8>().ok_or_else(keys::unreadable)?;
    Ok((u64::from_be_bytes(*account), keys::sequence_at_end(key)?))
}

/// The key of a grant in the order in which rests lapse.
pub(crate) fn end(closes_at: Timestamp, number: u64) -> Vec<u8> {
    time_key(closes_at, &sequence(number))
}
