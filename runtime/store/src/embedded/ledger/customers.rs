//! What each customer brought in each month of UTC: written with the entries, and read by reports.
//! Another record has by how much what was posted in the month differs.
//!
//! A report adds up the months of its range. It reads entries for what its ends differ from months,
//! so a month in any zone reads those of a few hours.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::{BucketLevel, RangeCover, SignedRange};

use crate::embedded::codec::decode;
use crate::embedded::ledger::{entries, keys, reports};
use crate::embedded::tables::{LEDGER_CUSTOMERS, LEDGER_CUSTOMERS_POSTED, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{BucketAxis, CustomerQuery, CustomerReport, CustomerSum, CustomerTotal, LedgerEntry};

/// What the entries of one commit add to customers, by the keys of the records.
#[derive(Default)]
pub(crate) struct CustomerSums {
    booked: BTreeMap<Vec<u8>, CustomerSum>,
    posted: BTreeMap<Vec<u8>, PostedDifference>,
}

/// By how much the entries of a customer that were posted in a month differ from those that are
/// booked in it. Most entries are posted in the month in which they occurred, and need no record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PostedDifference {
    /// The number of entries.
    pub(crate) entries: i64,
    /// Their net revenue, in minor units.
    pub(crate) net_revenue: i128,
}

impl CustomerSums {
    /// Adds an entry if it changes net revenue.
    pub(crate) fn add(&mut self, entry: &LedgerEntry) {
        if let Some((key, added)) = record_of(entry) {
            let sum = self.booked.entry(key).or_default();
            sum.entries += added.entries;
            sum.net_revenue = sum.net_revenue.saturating_add(added.net_revenue);
        }
        for (key, added) in differences_of(entry) {
            self.posted.entry(key).or_default().add(added);
        }
    }

    /// Adds the sums to the stored records.
    pub(crate) fn write(self, commit: &mut WriteTx<'_, '_>) -> Result<()> {
        for (key, added) in self.posted {
            let mut record: PostedDifference = commit.record(LEDGER_CUSTOMERS_POSTED, &key)?.unwrap_or_default();
            record.add(added);
            commit.put_record(LEDGER_CUSTOMERS_POSTED, &key, &record)?;
        }
        for (key, added) in self.booked {
            let mut record: CustomerSum = commit.record(LEDGER_CUSTOMERS, &key)?.unwrap_or_default();
            record.entries += added.entries;
            record.net_revenue = record.net_revenue.saturating_add(added.net_revenue);
            commit.put_record(LEDGER_CUSTOMERS, &key, &record)?;
        }
        Ok(())
    }
}

impl PostedDifference {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.net_revenue = self.net_revenue.saturating_add(other.net_revenue);
    }
}

/// The record that an entry changes, and what it adds; `None` if it does not change net revenue.
pub(crate) fn record_of(entry: &LedgerEntry) -> Option<(Vec<u8>, CustomerSum)> {
    let net_revenue = i128::from(entry.net_revenue);
    let month = BucketLevel::Month.start_of(entry.booked_at());
    (net_revenue != 0).then(|| (key_of(entry, month), CustomerSum { entries: 1, net_revenue }))
}

/// The differences that an entry makes: none, or one in the month of its posting and one in the
/// month in which it is booked.
pub(crate) fn differences_of(entry: &LedgerEntry) -> impl Iterator<Item = (Vec<u8>, PostedDifference)> + use<> {
    let [booked, posted] = [entry.booked_at(), entry.posted_at].map(|at| BucketLevel::Month.start_of(at));
    let net_revenue = i128::from(entry.net_revenue);
    let differs = net_revenue != 0 && booked != posted;
    let record = |month, sign: i64| {
        (key_of(entry, month), PostedDifference { entries: sign, net_revenue: i128::from(sign) * net_revenue })
    };
    differs.then(|| [record(posted, 1), record(booked, -1)]).into_iter().flatten()
}

fn key_of(entry: &LedgerEntry, month: Timestamp) -> Vec<u8> {
    let customer = entry.customer.as_deref().unwrap_or_default();
    name_key(entry.stream.as_str(), &time_key(month, &name_key(&entry.currency, customer.as_bytes())))
}

/// Returns what customers brought, for each currency.
pub(crate) fn report(store: &impl ReadTx, query: &CustomerQuery) -> Result<CustomerReport> {
    let CustomerQuery { scope, range, top } = query;
    let mut fold = CustomerFold::default();
    let sequence = reports::last_of(store, scope)?;
    let levels: &[BucketLevel] = if scope.as_of.is_some() { &[] } else { &[BucketLevel::Month] };
    let cover = RangeCover::with(levels, range.start, range.end);
    for stream in reports::streams(store, scope)? {
        let key = |time: Timestamp| name_key(stream.as_str(), &time_key(time, &[]));
        let prefix = stream.as_str().len() + 9;
        for (_, months) in &cover.buckets {
            store.each(LEDGER_CUSTOMERS, key(months.start)..key(months.end), |key, bytes| {
                let (currency, customer) = names_of(key.get(prefix..).unwrap_or_default())?;
                let sum: CustomerSum = decode(LEDGER_CUSTOMERS, bytes)?;
                fold.add(currency, customer, sum.entries.into(), sum.net_revenue, months.subtract);
                Ok(())
            })?;
            if scope.axis == BucketAxis::Posted {
                store.each(LEDGER_CUSTOMERS_POSTED, key(months.start)..key(months.end), |key, bytes| {
                    let (currency, customer) = names_of(key.get(prefix..).unwrap_or_default())?;
                    let PostedDifference { entries, net_revenue } = decode(LEDGER_CUSTOMERS_POSTED, bytes)?;
                    fold.add(currency, customer, entries.into(), net_revenue, months.subtract);
                    Ok(())
                })?;
            }
        }
        for part in &cover.parts {
            match scope.axis {
                BucketAxis::Occurred => fold.add_booked(store, &stream, part, sequence)?,
                BucketAxis::Posted => fold.add_posted(store, &stream, part, sequence)?,
            }
        }
    }
    Ok(CustomerReport { totals: fold.into_totals(*top), sequence })
}

/// Reads the currency and the customer at the end of a key.
fn names_of(rest: &[u8]) -> Result<(&str, &str)> {
    keys::text(rest)?.split_once('\0').ok_or_else(keys::unreadable)
}

/// The numbers of entries and the net revenues of customers, by currency. A customer without a name
/// represents the entries without one.
#[derive(Default)]
struct CustomerFold(BTreeMap<String, HashMap<String, (i128, i128)>>);

impl CustomerFold {
    fn add(&mut self, currency: &str, customer: &str, entries: i128, net_revenue: i128, subtract: bool) {
        if !self.0.contains_key(currency) {
            self.0.insert(currency.to_owned(), HashMap::new());
        }
        let Some(customers) = self.0.get_mut(currency) else { return };
        if !customers.contains_key(customer) {
            customers.insert(customer.to_owned(), (0, 0));
        }
        if let Some(sum) = customers.get_mut(customer) {
            let sign = if subtract { -1 } else { 1 };
            sum.0 = sum.0.saturating_add(entries.saturating_mul(sign));
            sum.1 = sum.1.saturating_add(net_revenue.saturating_mul(sign));
        }
    }

    /// Adds entries up to a sequence number that were posted in a part of the range.
    fn add_posted(&mut self, store: &impl ReadTx, stream: &LedgerStream, part: &SignedRange, last: u64) -> Result<()> {
        let [first, after] = [part.start, part.end].map(|time| entries::first_posted_from(store, time));
        entries::each_while(store, first?..after?.min(last.saturating_add(1)), |entry| {
            if entry.net_revenue != 0 && entry.stream == *stream {
                let customer = entry.customer.as_deref().unwrap_or_default();
                self.add(&entry.currency, customer, 1, entry.net_revenue.into(), part.subtract);
            }
            Ok(true)
        })
    }

    /// Adds entries up to a sequence number that are booked in a part of the range.
    fn add_booked(&mut self, store: &impl ReadTx, stream: &LedgerStream, part: &SignedRange, last: u64) -> Result<()> {
        let mut reader = entries::EntryReader::new(store);
        reports::each_booked(store, stream, part.start..part.end, |sequence, record| {
            if record.net_revenue != 0 && sequence <= last {
                let entry = reader.named(sequence)?;
                let customer = entry.customer.as_deref().unwrap_or_default();
                self.add(&entry.currency, customer, 1, entry.net_revenue.into(), part.subtract);
            }
            Ok(())
        })
    }

    fn into_totals(self, top: usize) -> Vec<CustomerTotal> {
        let total = |(currency, customers): (String, HashMap<String, (i128, i128)>)| {
            let sum = |(entries, net_revenue): (i128, i128)| CustomerSum {
                entries: u64::try_from(entries).unwrap_or_default(),
                net_revenue,
            };
            let mut ranked: Vec<_> = customers.into_iter().filter(|(_, (entries, _))| *entries != 0).collect();
            let nameless = ranked.iter().position(|(customer, _)| customer.is_empty());
            let without_customer = nameless.map(|place| sum(ranked.swap_remove(place).1)).unwrap_or_default();
            let net_revenue = ranked.iter().fold(0i128, |total, (_, one)| total.saturating_add(one.1));
            let count = ranked.len() as u64;
            ranked.sort_unstable_by(|(a, x), (b, y)| y.1.cmp(&x.1).then_with(|| a.cmp(b)));
            ranked.truncate(top);
            let top = ranked.into_iter().map(|(customer, one)| (customer, sum(one))).collect();
            CustomerTotal { currency, customers: count, net_revenue, without_customer, top }
        };
        let totals = self.0.into_iter().map(total);
        totals.filter(|total| total.customers > 0 || total.without_customer.entries > 0).collect()
    }
}
