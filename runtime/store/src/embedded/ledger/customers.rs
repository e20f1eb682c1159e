//! What each customer brought in each month of UTC: written with the entries, and read by reports.
//!
//! A report adds up the months of its range. It reads entries for what its ends differ from months,
//! so a month in any zone reads those of a few hours.

use std::collections::{BTreeMap, HashMap};

use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::{BucketLevel, RangeCover, SignedRange};

use crate::embedded::codec::decode;
use crate::embedded::ledger::{entries, keys, reports};
use crate::embedded::tables::{LEDGER_CUSTOMERS, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{CustomerQuery, CustomerReport, CustomerSum, CustomerTotal, LedgerEntry};

/// What the entries of one commit add to customers, by the keys of the records.
#[derive(Default)]
pub(crate) struct CustomerSums(BTreeMap<Vec<u8>, CustomerSum>);

impl CustomerSums {
    /// Adds an entry if it changes net revenue.
    pub(crate) fn add(&mut self, entry: &LedgerEntry) {
        if let Some((key, added)) = record_of(entry) {
            let sum = self.0.entry(key).or_default();
            sum.entries += added.entries;
            sum.net_revenue = sum.net_revenue.saturating_add(added.net_revenue);
        }
    }

    /// Adds the sums to the stored records.
    pub(crate) fn write(self, commit: &mut WriteTx<'_, '_>) -> Result<()> {
        for (key, added) in self.0 {
            let mut record: CustomerSum = commit.record(LEDGER_CUSTOMERS, &key)?.unwrap_or_default();
            record.entries += added.entries;
            record.net_revenue = record.net_revenue.saturating_add(added.net_revenue);
            commit.put_record(LEDGER_CUSTOMERS, &key, &record)?;
        }
        Ok(())
    }
}

/// The record that an entry changes, and what it adds; `None` if it does not change net revenue.
pub(crate) fn record_of(entry: &LedgerEntry) -> Option<(Vec<u8>, CustomerSum)> {
    let net_revenue = i128::from(entry.net_revenue);
    if net_revenue == 0 {
        return None;
    }
    let month = BucketLevel::Month.start_of(entry.booked_at());
    let customer = entry.customer.as_deref().unwrap_or_default();
    let key = name_key(entry.stream.as_str(), &time_key(month, &name_key(&entry.currency, customer.as_bytes())));
    Some((key, CustomerSum { entries: 1, net_revenue }))
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
                let rest = keys::text(key.get(prefix..).unwrap_or_default())?;
                let (currency, customer) = rest.split_once('\0').ok_or_else(keys::unreadable)?;
                let sum: CustomerSum = decode(LEDGER_CUSTOMERS, bytes)?;
                fold.add(currency, customer, sum.entries.into(), sum.net_revenue, months.subtract);
                Ok(())
            })?;
        }
        for part in &cover.parts {
            fold.add_entries(store, &stream, part, sequence)?;
        }
    }
    Ok(CustomerReport { totals: fold.into_totals(*top), sequence })
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

    /// Adds entries up to a sequence number that are booked in a part of the range.
    fn add_entries(&mut self, store: &impl ReadTx, stream: &LedgerStream, part: &SignedRange, last: u64) -> Result<()> {
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
