//! What the entries of one commit add to balances, totals and buckets. Each record is read and
//! written once per commit, however many entries change it.

use std::collections::BTreeMap;

use tidemill_core::money::report::BucketLevel;
use tidemill_core::money::{Account, LedgerStream};

use crate::embedded::ledger::customers::CustomerSums;
use crate::embedded::ledger::findings::{self, ReceivableSign};
use crate::embedded::ledger::keys;
use crate::embedded::ledger::record::{AccountRecord, StreamRecord, TimeRecord};
use crate::embedded::tables::{LEDGER_ACCOUNTS, LEDGER_BUCKETS, LEDGER_OUTGOING, LEDGER_STREAMS, name_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{Bucket, BucketAxis, LedgerEntry, LedgerLeg};

/// Sums by the keys of their records.
#[derive(Default)]
pub(crate) struct LedgerSums {
    pub(crate) accounts: BTreeMap<Vec<u8>, AccountRecord>,
    pub(crate) streams: BTreeMap<Vec<u8>, StreamRecord>,
    pub(crate) buckets: BTreeMap<Vec<u8>, Bucket>,
    /// What reservations take from accounts that have a floor.
    pub(crate) outgoing: BTreeMap<Vec<u8>, i128>,
    customers: CustomerSums,
}

impl LedgerSums {
    /// Adds an entry to the balances of its accounts and to the total of its stream.
    pub(crate) fn add_balances(&mut self, entry: &LedgerEntry) {
        for leg in &entry.legs {
            let account = self.account(entry, &leg.account);
            account.posted = account.posted.saturating_add(leg.minor_units.into());
        }
        for leg in &entry.pending {
            let account = self.account(entry, &leg.account);
            account.pending = account.pending.saturating_add(leg.minor_units.into());
        }
        if !entry.pending.is_empty() {
            for account in FLOOR_ACCOUNTS {
                let outgoing = outgoing(&entry.pending, entry.reservation.is_none(), account.as_str());
                if outgoing != 0 {
                    let key = keys::account(&entry.stream, account.as_str(), &entry.currency);
                    *self.outgoing.entry(key).or_default() += outgoing;
                }
            }
        }
        let total = self.streams.entry(keys::total(&entry.stream, &entry.currency)).or_default();
        total.net_revenue = total.net_revenue.saturating_add(entry.net_revenue.into());
        total.entries += 1;
        total.paper = entry.paper;
    }

    /// Adds an entry to its buckets.
    pub(crate) fn add_buckets(&mut self, entry: &LedgerEntry) {
        let added = bucket_of(entry);
        for key in bucket_keys(entry) {
            self.buckets.entry(key).or_default().add(&added);
        }
        self.customers.add(entry);
    }

    /// Returns whether a stream is on paper, if an entry of it was added.
    pub(crate) fn is_on_paper(&self, stream: &LedgerStream) -> Option<bool> {
        let prefix = name_key(stream.as_str(), &[]);
        let (key, total) = self.streams.range(prefix.clone()..).next()?;
        key.starts_with(&prefix).then_some(total.paper)
    }

    fn account(&mut self, entry: &LedgerEntry, account: &str) -> &mut AccountRecord {
        self.accounts.entry(keys::account(&entry.stream, account, &entry.currency)).or_default()
    }

    /// Adds the sums to the stored records. Returns the accounts `receivable` whose sign has
    /// changed.
    pub(crate) fn write(self, commit: &mut WriteTx<'_, '_>) -> Result<Vec<ReceivableSign>> {
        let mut signs = Vec::new();
        for (key, added) in &self.accounts {
            let mut record: AccountRecord = commit.record(LEDGER_ACCOUNTS, key)?.unwrap_or_default();
            let before = record.posted;
            record.posted = record.posted.saturating_add(added.posted);
            record.pending = record.pending.saturating_add(added.pending);
            if (before < 0) != (record.posted < 0) {
                let (stream, rest) = keys::stream_and_rest(key)?;
                let account = keys::text(rest)?.split_once('\0').ok_or_else(keys::unreadable)?;
                let paper = self.is_on_paper(&stream).unwrap_or_default();
                signs.extend(findings::receivable_sign(stream, account, (before, record.posted), paper));
            }
            commit.put_record(LEDGER_ACCOUNTS, key, &record)?;
        }
        for (key, added) in self.streams {
            let mut record: StreamRecord = commit.record(LEDGER_STREAMS, &key)?.unwrap_or_default();
            record.net_revenue = record.net_revenue.saturating_add(added.net_revenue);
            record.entries += added.entries;
            record.paper = added.paper;
            commit.put_record(LEDGER_STREAMS, &key, &record)?;
        }
        for (key, added) in self.outgoing {
            let before: i128 = commit.record(LEDGER_OUTGOING, &key)?.unwrap_or_default();
            commit.put_record(LEDGER_OUTGOING, &key, &(before + added))?;
        }
        for (key, added) in self.buckets {
            let mut record: Bucket = commit.record(LEDGER_BUCKETS, &key)?.unwrap_or_default();
            record.add(&added);
            commit.put_record(LEDGER_BUCKETS, &key, &record)?;
        }
        self.customers.write(commit)?;
        Ok(signs)
    }
}

/// The accounts of a stream that may have a floor.
const FLOOR_ACCOUNTS: [Account; 2] = [Account::Receivable, Account::Bank];

/// Returns the change of what reservations take from an account: what a reservation takes, or, if
/// it ends, what it no longer takes.
pub(crate) fn outgoing(pending: &[LedgerLeg], reserves: bool, account: &str) -> i128 {
    let legs = pending.iter().filter(|leg| leg.account == account && (leg.minor_units < 0) == reserves);
    -legs.map(|leg| i128::from(leg.minor_units)).sum::<i128>()
}

/// Returns what one entry adds to each of its buckets.
pub(crate) fn bucket_of(entry: &LedgerEntry) -> Bucket {
    TimeRecord::of(entry).bucket()
}

/// Returns the keys of the buckets of an entry.
pub(crate) fn bucket_keys(entry: &LedgerEntry) -> impl Iterator<Item = Vec<u8>> {
    let axes = [(BucketAxis::Occurred, entry.booked_at()), (BucketAxis::Posted, entry.posted_at)];
    axes.into_iter().flat_map(move |(axis, time)| {
        BucketLevel::ALL.into_iter().map(move |level| {
            let start = level.start_of(time);
            keys::bucket(&entry.stream, axis, level, start, entry.late, &entry.kind, &entry.currency)
        })
    })
}
