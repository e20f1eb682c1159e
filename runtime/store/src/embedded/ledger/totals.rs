//! Reads balances of accounts and totals of streams.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_core::money::LedgerStream;
use tidemill_core::{DeploymentName, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::record::{AccountRecord, StreamRecord};
use crate::embedded::ledger::{keys, reservations};
use crate::embedded::tables::{LEDGER_ACCOUNTS, LEDGER_STREAMS, name_key};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{AccountTotal, StreamTotal};

/// Returns the total of each stream in each currency.
pub(crate) fn streams(store: &impl ReadTx) -> Result<Vec<StreamTotal>> {
    let mut totals = Vec::new();
    store.each(LEDGER_STREAMS, prefix_range(&[]), |key, bytes| {
        let (stream, currency) = keys::stream_and_rest(key)?;
        let StreamRecord { net_revenue, entries, paper } = decode(LEDGER_STREAMS, bytes)?;
        totals.push(StreamTotal { stream, currency: keys::text(currency)?.to_owned(), net_revenue, entries, paper });
        Ok(())
    })?;
    Ok(totals)
}

/// Returns whether a stream is on paper; `None` if it has no entries.
pub(crate) fn is_on_paper(store: &impl ReadTx, stream: &LedgerStream) -> Result<Option<bool>> {
    let found = store.scan_prefix(LEDGER_STREAMS, &name_key(stream.as_str(), &[]), 1)?;
    found.first().map(|(_, bytes)| Ok(decode::<StreamRecord>(LEDGER_STREAMS, bytes)?.paper)).transpose()
}

/// Returns the first stream of a deployment that has entries, and whether it is on paper.
pub(crate) fn of_deployment(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Option<(LedgerStream, bool)>> {
    // The streams of instances have a name of their own after a slash.
    for prefix in [name_key(deployment.as_str(), &[]), format!("{deployment}/").into_bytes()] {
        if let Some((key, bytes)) = store.scan_prefix(LEDGER_STREAMS, &prefix, 1)?.first() {
            let record: StreamRecord = decode(LEDGER_STREAMS, bytes)?;
            return Ok(Some((keys::stream_and_rest(key)?.0, record.paper)));
        }
    }
    Ok(None)
}

/// Returns the balance of each account of one stream or of all at `now`.
pub(crate) fn accounts(
    store: &impl ReadTx,
    stream: Option<&LedgerStream>,
    now: Timestamp,
) -> Result<Vec<AccountTotal>> {
    let returned = returned_by_expiry(store, now)?;
    let mut totals = Vec::new();
    let prefix = stream.map(|stream| name_key(stream.as_str(), &[])).unwrap_or_default();
    store.each(LEDGER_ACCOUNTS, prefix_range(&prefix), |key, bytes| {
        let (stream, rest) = keys::stream_and_rest(key)?;
        let (account, currency) = keys::text(rest)?.split_once('\0').ok_or_else(keys::unreadable)?;
        let AccountRecord { posted, pending } = decode(LEDGER_ACCOUNTS, bytes)?;
        totals.push(AccountTotal {
            stream,
            account: account.to_owned(),
            currency: currency.to_owned(),
            minor_units: posted,
            pending: pending - returned.get(key).copied().unwrap_or_default(),
            paper: false,
        });
        Ok(())
    })?;
    let on_paper: BTreeSet<LedgerStream> =
        streams(store)?.into_iter().filter(|total| total.paper).map(|total| total.stream).collect();
    totals.iter_mut().for_each(|total| total.paper = on_paper.contains(&total.stream));
    Ok(totals)
}

/// Returns the pending sums of reservations whose time is over and that no timer has returned yet,
/// by the keys of their accounts.
fn returned_by_expiry(store: &impl ReadTx, now: Timestamp) -> Result<BTreeMap<Vec<u8>, i128>> {
    let mut returned: BTreeMap<Vec<u8>, i128> = BTreeMap::new();
    reservations::each_due(store, now, |entry| {
        for leg in &entry.pending {
            let key = keys::account(&entry.stream, &leg.account, &entry.currency);
            *returned.entry(key).or_default() += i128::from(leg.minor_units);
        }
        Ok(true)
    })?;
    Ok(returned)
}
