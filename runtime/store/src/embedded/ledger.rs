//! The ledger: immutable entries, and totals that are written in the same commit.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{
    ACCOUNTS, ENTRIES, ENTRIES_BY_STREAM, EXTERNAL_IDS, STREAMS, WATERMARKS, name_key, name_of, time_key,
};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{
    AccountTotal, ExternalId, FeedEvent, LedgerCheck, LedgerEntry, NewPosting, Page, PageRequest, StreamTotal, Version,
};
use crate::traits::LedgerStore;

/// Maximum number of differences that a check reports.
const PROBLEMS: usize = 100;

#[derive(Serialize, Deserialize)]
struct PostingRecord {
    posting: String,
    fingerprint: [u8; 16],
    version: Version,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct RevenueRecord {
    net_revenue: i128,
    entries: u64,
}

pub(crate) fn external_id(store: &impl ReadTx, stream: &DeploymentName, id: &str) -> Result<ExternalId> {
    let posted: Option<PostingRecord> = store.record(EXTERNAL_IDS, &name_key(stream.as_str(), id.as_bytes()))?;
    Ok(posted.map_or(
        ExternalId { posting: None, fingerprint: [0; 16], version: Version::ABSENT },
        |PostingRecord { posting, fingerprint, version }| ExternalId { posting: Some(posting), fingerprint, version },
    ))
}

#[async_trait]
impl LedgerStore for EmbeddedStore {
    async fn external_id(&self, stream: &DeploymentName, external_id: &str) -> Result<ExternalId> {
        self::external_id(self.latest(), stream, external_id)
    }

    async fn ledger_entries(&self, stream: Option<&DeploymentName>, page: PageRequest) -> Result<Page<LedgerEntry>> {
        let store = self.latest();
        let Some(stream) = stream else {
            return store.record_page(ENTRIES, &[], true, &page);
        };
        let prefix = name_key(stream.as_str(), &[]);
        store.page(ENTRIES_BY_STREAM, &prefix, true, &page)?.try_map(|(key, _)| {
            let id = key.get(prefix.len() + 8..).unwrap_or_default();
            store.record(ENTRIES, id)?.ok_or_else(|| StoreError::Damaged {
                what: format!("ledger entry {} is missing", String::from_utf8_lossy(id)),
            })
        })
    }

    async fn revenue(&self, stream: &DeploymentName, start: Timestamp, end: Timestamp) -> Result<Vec<StreamTotal>> {
        let mut totals: Vec<StreamTotal> = Vec::new();
        let range = name_key(stream.as_str(), &time_key(start, &[]))..name_key(stream.as_str(), &time_key(end, &[]));
        self.snapshot().each(ENTRIES_BY_STREAM, range, |_, bytes| {
            let (currency, net): (String, i64) = decode(ENTRIES_BY_STREAM, bytes)?;
            let found = totals.iter().position(|total| total.currency == currency);
            let at = found.unwrap_or_else(|| {
                totals.push(StreamTotal { stream: stream.clone(), currency, net_revenue: 0, entries: 0 });
                totals.len() - 1
            });
            totals[at].net_revenue += i128::from(net);
            totals[at].entries += 1;
            Ok(())
        })?;
        totals.sort_by(|a, b| a.currency.cmp(&b.currency));
        Ok(totals)
    }

    async fn stream_totals(&self) -> Result<Vec<StreamTotal>> {
        self::stream_totals(&self.snapshot())
    }

    async fn account_totals(&self, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>> {
        self::account_totals(&self.snapshot(), stream)
    }

    async fn check_ledger(&self) -> Result<LedgerCheck> {
        let store = self.clone();
        blocking(move || check(&store.snapshot())).await
    }

    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>> {
        self.latest().record(WATERMARKS, stream.as_str().as_bytes())
    }
}

pub(crate) fn post(commit: &mut WriteTx<'_, '_>, run: &Run, postings: &[NewPosting], now: Timestamp) -> Result<()> {
    let mut sums: Vec<(String, u64, i64)> = Vec::new();
    for NewPosting { entry } in postings {
        let sum: i128 = entry.legs.iter().map(|leg| i128::from(leg.minor_units)).sum();
        if sum != 0 || entry.stream != run.deployment || entry.run != run.id {
            return Err(StoreError::IllegalTransition(format!(
                "entry {} does not balance or belongs to another run",
                entry.id
            )));
        }
        let entry = LedgerEntry { posted_at: now, ..entry.clone() };
        let stream = entry.stream.as_str();
        let posted = PostingRecord {
            posting: entry.id.clone(),
            fingerprint: entry.fingerprint,
            version: Version(commit.position()),
        };
        commit.put_record(EXTERNAL_IDS, &name_key(stream, entry.external_id.as_bytes()), &posted)?;
        commit.put_record(ENTRIES, entry.id.as_bytes(), &entry)?;
        commit.put_record(
            ENTRIES_BY_STREAM,
            &name_key(stream, &time_key(entry.occurred_at, entry.id.as_bytes())),
            &(&entry.currency, entry.net_revenue),
        )?;
        for leg in &entry.legs {
            let key = name_key(stream, &name_key(&leg.account, entry.currency.as_bytes()));
            let balance: i128 = commit.record(ACCOUNTS, &key)?.unwrap_or_default();
            commit.put_record(ACCOUNTS, &key, &balance.saturating_add(leg.minor_units.into()))?;
        }
        let key = name_key(stream, entry.currency.as_bytes());
        let mut earned: RevenueRecord = commit.record(STREAMS, &key)?.unwrap_or_default();
        earned.net_revenue = earned.net_revenue.saturating_add(entry.net_revenue.into());
        earned.entries += 1;
        commit.put_record(STREAMS, &key, &earned)?;
        match sums.iter_mut().find(|(currency, ..)| *currency == entry.currency) {
            Some((_, entries, net)) => {
                *entries += 1;
                *net = net.saturating_add(entry.net_revenue);
            }
            None => sums.push((entry.currency.clone(), 1, entry.net_revenue)),
        }
    }
    for (currency, entries, net_revenue) in sums {
        let (stream, run) = (run.deployment.clone(), run.id);
        commit.announce(now, &FeedEvent::Posted { stream, run, currency, entries, net_revenue })?;
    }
    Ok(())
}

fn stream_totals(store: &impl ReadTx) -> Result<Vec<StreamTotal>> {
    let mut totals = Vec::new();
    store.each(STREAMS, prefix_range(&[]), |key, bytes| {
        let (stream, currency) = two(key)?;
        let RevenueRecord { net_revenue, entries } = decode(STREAMS, bytes)?;
        totals.push(StreamTotal { stream, currency: currency.to_owned(), net_revenue, entries });
        Ok(())
    })?;
    Ok(totals)
}

fn account_totals(store: &impl ReadTx, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>> {
    let mut totals = Vec::new();
    let prefix = stream.map(|stream| name_key(stream.as_str(), &[])).unwrap_or_default();
    store.each(ACCOUNTS, prefix_range(&prefix), |key, bytes| {
        let (stream, rest) = two(key)?;
        let (account, currency) = rest.split_once('\0').unwrap_or((rest, ""));
        let minor_units = decode(ACCOUNTS, bytes)?;
        totals.push(AccountTotal { stream, account: account.into(), currency: currency.into(), minor_units });
        Ok(())
    })?;
    Ok(totals)
}

/// Sums every entry and compares the sums with the stored totals.
pub(crate) fn check(store: &impl ReadTx) -> Result<LedgerCheck> {
    use std::collections::BTreeMap;
    let mut found = LedgerCheck::default();
    let mut accounts: BTreeMap<(DeploymentName, String, String), i128> = BTreeMap::new();
    let mut streams: BTreeMap<(DeploymentName, String), RevenueRecord> = BTreeMap::new();
    let mut problems = Vec::new();
    store.each(ENTRIES, prefix_range(&[]), |_, bytes| {
        let entry: LedgerEntry = decode(ENTRIES, bytes)?;
        found.entries += 1;
        let sum: i128 = entry.legs.iter().map(|leg| i128::from(leg.minor_units)).sum();
        if sum != 0 {
            problems.push(format!("the legs of entry {} sum to {sum} instead of 0", entry.id));
        }
        let known = external_id(store, &entry.stream, &entry.external_id)?;
        if known.posting.as_deref() != Some(entry.id.as_str()) {
            problems
                .push(format!("the external id of entry {}, `{}`, names another entry", entry.id, entry.external_id));
        }
        for leg in entry.legs {
            *accounts.entry((entry.stream.clone(), leg.account, entry.currency.clone())).or_default() +=
                i128::from(leg.minor_units);
        }
        let earned = streams.entry((entry.stream, entry.currency)).or_default();
        earned.net_revenue += i128::from(entry.net_revenue);
        earned.entries += 1;
        Ok(())
    })?;
    for total in account_totals(store, None)? {
        found.totals += 1;
        let sum = accounts.remove(&(total.stream.clone(), total.account.clone(), total.currency.clone()));
        if sum.unwrap_or_default() != total.minor_units {
            problems.push(format!(
                "account {} of {} has a balance of {} {}, but its entries sum to {}",
                total.account,
                total.stream,
                total.minor_units,
                total.currency,
                sum.unwrap_or_default()
            ));
        }
    }
    problems.extend(accounts.keys().map(|(stream, account, _)| format!("account {account} of {stream} has no total")));
    for total in stream_totals(store)? {
        found.totals += 1;
        let earned = streams.remove(&(total.stream.clone(), total.currency.clone())).unwrap_or_default();
        if earned != (RevenueRecord { net_revenue: total.net_revenue, entries: total.entries }) {
            problems.push(format!(
                "stream {} has a total of {} {} in {} entries, but its entries sum to {} in {}",
                total.stream, total.net_revenue, total.currency, total.entries, earned.net_revenue, earned.entries
            ));
        }
    }
    problems.extend(streams.keys().map(|(stream, currency)| format!("stream {stream} has no total in {currency}")));
    problems.truncate(PROBLEMS);
    found.problems = problems;
    Ok(found)
}

fn two(key: &[u8]) -> Result<(DeploymentName, &str)> {
    let damaged = || StoreError::Damaged { what: "a key of the ledger cannot be read".into() };
    let name = name_of(key).ok_or_else(damaged)?;
    let rest = std::str::from_utf8(&key[name.as_str().len() + 1..]).map_err(|_| damaged())?;
    Ok((name, rest))
}
