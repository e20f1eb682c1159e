//! Reads sums of entries in ranges of time from buckets, and from entries only at the ends of a
//! range that cut a bucket.
//!
//! A report as of an earlier entry takes away what was posted since, which it reads.

use std::ops::Range;

use async_trait::async_trait;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::{RangeCover, SignedRange};
use tidemill_core::{DeploymentName, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::record::{StreamRecord, TimeRecord};
use crate::embedded::ledger::{customers, entries, fuel, keys, periods, rates, totals};
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{LEDGER_BUCKETS, LEDGER_LATE, LEDGER_STREAMS, LEDGER_TIMES, name_key, time_key};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{
    AsOf, Bucket, BucketAxis, ClosedPeriod, CustomerQuery, CustomerReport, FuelTotal, KindSum, LedgerEntry, Page,
    PageRequest, RateRecord, ReportScope, ReportSums, StreamTotal,
};
use crate::traits::ReportStore;

#[async_trait]
impl ReportStore for EmbeddedStore {
    async fn kind_sums(&self, scope: ReportScope, series: Vec<Vec<Range<Timestamp>>>) -> Result<ReportSums> {
        let store = self.clone();
        blocking(move || kind_sums(&store.snapshot(), &scope, &series)).await
    }

    async fn customer_totals(&self, query: CustomerQuery) -> Result<CustomerReport> {
        let store = self.clone();
        blocking(move || customers::report(&store.snapshot(), &query)).await
    }

    async fn fuel_totals(&self, stream: Option<&LedgerStream>, range: Range<Timestamp>) -> Result<Vec<FuelTotal>> {
        fuel::in_range(&self.snapshot(), stream, &range)
    }

    async fn stream_of(&self, deployment: &DeploymentName) -> Result<Option<(LedgerStream, bool)>> {
        totals::of_deployment(self.latest(), deployment)
    }

    async fn entries_in(&self, range: Range<u64>, limit: usize) -> Result<Vec<LedgerEntry>> {
        let store = self.clone();
        blocking(move || {
            let mut found = Vec::new();
            let end = range.end.min(range.start.saturating_add(limit as u64));
            entries::each_while(&store.snapshot(), range.start..end, |entry| {
                found.push(entry);
                Ok(true)
            })?;
            Ok(found)
        })
        .await
    }

    async fn close_period(&self, period: ClosedPeriod, now: Timestamp) -> Result<ClosedPeriod> {
        self.commit(move |c| periods::close(c, &period, now)).await
    }

    async fn closed_periods(&self, page: PageRequest) -> Result<Page<ClosedPeriod>> {
        periods::page(self.latest(), &page)
    }

    async fn put_rates(&self, rates: Vec<RateRecord>) -> Result<()> {
        self.commit(move |c| rates::put(c, &rates)).await
    }

    async fn rates(&self, to: Option<&str>, page: PageRequest) -> Result<Page<RateRecord>> {
        rates::page(self.latest(), to, &page)
    }

    async fn rates_into(&self, to: &str, first: &str, last: &str) -> Result<Vec<RateRecord>> {
        rates::into(self.latest(), to, first, last)
    }

    async fn closed_until(&self) -> Result<Timestamp> {
        periods::closed_until(self.latest())
    }
}

/// Returns the streams that a report is about.
pub(crate) fn streams(store: &impl ReadTx, scope: &ReportScope) -> Result<Vec<LedgerStream>> {
    let prefix = scope.stream.as_ref().map(|stream| name_key(stream.as_str(), &[])).unwrap_or_default();
    let mut found: Vec<LedgerStream> = Vec::new();
    store.each(LEDGER_STREAMS, prefix_range(&prefix), |key, bytes| {
        let (stream, _) = keys::stream_and_rest(key)?;
        let record: StreamRecord = decode(LEDGER_STREAMS, bytes)?;
        if record.paper == scope.paper && found.last() != Some(&stream) {
            found.push(stream);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Returns the net revenue of a stream in a range, for each currency.
pub(crate) fn revenue(
    store: &impl ReadTx,
    stream: &LedgerStream,
    range: &Range<Timestamp>,
) -> Result<Vec<StreamTotal>> {
    let mut fold = KindFold::default();
    fold.add_range(store, stream, BucketAxis::Occurred, range)?;
    let mut totals: Vec<StreamTotal> = Vec::new();
    for KindSum { stream, currency, sum, .. } in fold.into_sums(stream).filter(|sum| sum.sum.entries > 0) {
        if totals.last().is_none_or(|total| total.currency != currency) {
            totals.push(StreamTotal { stream, currency, net_revenue: 0, entries: 0, paper: false });
        }
        if let Some(total) = totals.last_mut() {
            total.net_revenue = total.net_revenue.saturating_add(sum.net_revenue);
            total.entries += sum.entries;
        }
    }
    Ok(totals)
}

/// Returns the sums of each kind in each range of each series.
pub(crate) fn kind_sums(
    store: &impl ReadTx,
    scope: &ReportScope,
    series: &[Vec<Range<Timestamp>>],
) -> Result<ReportSums> {
    let last = entries::head(store)?.head.sequence;
    let sequence = last_of(store, scope)?;
    let streams = streams(store, scope)?;
    let mut found = Vec::with_capacity(series.len());
    for ranges in series {
        found.push(SeriesSums::read(store, scope.axis, &streams, ranges)?);
    }
    if sequence < last {
        entries::each_while(store, sequence.saturating_add(1)..u64::MAX, |entry| {
            if let Ok(stream) = streams.binary_search(&entry.stream) {
                found.iter_mut().for_each(|sums| sums.remove(scope.axis, stream, &entry));
            }
            Ok(true)
        })?;
    }
    let series = found.into_iter().map(|sums| sums.into_sums(&streams)).collect();
    Ok(ReportSums { series, sequence, closed_until: periods::closed_until(store)? })
}

/// Returns the sequence number of the last entry that counts.
pub(crate) fn last_of(store: &impl ReadTx, scope: &ReportScope) -> Result<u64> {
    let last = entries::head(store)?.head.sequence;
    Ok(match scope.as_of {
        None => last,
        Some(AsOf::Sequence(sequence)) => sequence.min(last),
        Some(AsOf::Time(time)) => entries::first_posted_from(store, time.plus_millis(1))?.saturating_sub(1),
    })
}

/// The sums of one series: for each range, those of each stream.
struct SeriesSums<'r> {
    ranges: &'r [Range<Timestamp>],
    sums: Vec<Vec<KindFold>>,
}

impl<'r> SeriesSums<'r> {
    fn read(
        store: &impl ReadTx,
        axis: BucketAxis,
        streams: &[LedgerStream],
        ranges: &'r [Range<Timestamp>],
    ) -> Result<Self> {
        let mut sums = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut folds = Vec::with_capacity(streams.len());
            for stream in streams {
                let mut fold = KindFold::default();
                fold.add_range(store, stream, axis, range)?;
                folds.push(fold);
            }
            sums.push(folds);
        }
        Ok(Self { ranges, sums })
    }

    /// Takes away an entry that was posted after the last one that counts.
    fn remove(&mut self, axis: BucketAxis, stream: usize, entry: &LedgerEntry) {
        let time = match axis {
            BucketAxis::Occurred => entry.booked_at(),
            BucketAxis::Posted => entry.posted_at,
        };
        let range = self.ranges.partition_point(|range| range.end <= time);
        if self.ranges.get(range).is_some_and(|range| range.contains(&time))
            && let Some(fold) = self.sums.get_mut(range).and_then(|folds| folds.get_mut(stream))
        {
            fold.add_record(&TimeRecord::of(entry), true);
        }
    }

    fn into_sums(self, streams: &[LedgerStream]) -> Vec<Vec<KindSum>> {
        let range = |folds: Vec<KindFold>| {
            streams.iter().zip(folds).flat_map(|(stream, fold)| fold.into_sums(stream)).collect()
        };
        self.sums.into_iter().map(range).collect()
    }
}

/// Sums of one stream in one range, in which a part may be subtracted before it is added.
#[derive(Default)]
struct KindFold(Vec<SignedSum>);

struct SignedSum {
    late: bool,
    kind: String,
    currency: String,
    posted: i128,
    pending: i128,
    net_revenue: i128,
    entries: i128,
    pending_entries: i128,
}

impl KindFold {
    fn add_range(
        &mut self,
        store: &impl ReadTx,
        stream: &LedgerStream,
        axis: BucketAxis,
        range: &Range<Timestamp>,
    ) -> Result<()> {
        let cover = RangeCover::of(range.start, range.end);
        for (level, SignedRange { start, end, subtract }) in cover.buckets {
            let prefix = keys::buckets(stream, axis, level);
            let key = |time: Timestamp| [&prefix[..], &time_key(time, &[])].concat();
            store.each(LEDGER_BUCKETS, key(start)..key(end), |key, bytes| {
                let (late, kind, currency) = keys::bucket_parts(key.get(prefix.len()..).unwrap_or_default())?;
                self.add(late, kind, currency, &decode(LEDGER_BUCKETS, bytes)?, subtract);
                Ok(())
            })?;
        }
        for SignedRange { start, end, subtract } in cover.parts {
            match axis {
                BucketAxis::Occurred => each_booked(store, stream, start..end, |_, record| {
                    self.add_record(record, subtract);
                    Ok(())
                })?,
                BucketAxis::Posted => {
                    let [first, after] = [start, end].map(|time| entries::first_posted_from(store, time));
                    entries::each_while(store, first?..after?, |entry| {
                        if entry.stream == *stream {
                            self.add_record(&TimeRecord::of(&entry), subtract);
                        }
                        Ok(true)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn add_record(&mut self, record: &TimeRecord<'_>, subtract: bool) {
        self.add(record.late, record.kind, record.currency, &record.bucket(), subtract);
    }

    fn add(&mut self, late: bool, kind: &str, currency: &str, bucket: &Bucket, subtract: bool) {
        let found = self.0.iter().position(|sum| sum.kind == kind && sum.currency == currency && sum.late == late);
        let place = found.unwrap_or_else(|| {
            let (kind, currency) = (kind.to_owned(), currency.to_owned());
            let (posted, pending, net_revenue, entries, pending_entries) = (0, 0, 0, 0, 0);
            self.0.push(SignedSum { late, kind, currency, posted, pending, net_revenue, entries, pending_entries });
            self.0.len() - 1
        });
        let Some(sum) = self.0.get_mut(place) else { return };
        let add = |to: &mut i128, part: i128| {
            *to = if subtract { to.saturating_sub(part) } else { to.saturating_add(part) };
        };
        add(&mut sum.posted, bucket.posted);
        add(&mut sum.pending, bucket.pending);
        add(&mut sum.net_revenue, bucket.net_revenue);
        add(&mut sum.entries, bucket.entries.into());
        add(&mut sum.pending_entries, bucket.pending_entries.into());
    }

    fn into_sums(mut self, stream: &LedgerStream) -> impl Iterator<Item = KindSum> {
        self.0.retain(|sum| sum.entries != 0 || sum.pending_entries != 0);
        self.0.sort_by(|a, b| (&a.currency, &a.kind, a.late).cmp(&(&b.currency, &b.kind, b.late)));
        self.0.into_iter().map(|sum| KindSum {
            stream: stream.clone(),
            kind: sum.kind,
            currency: sum.currency,
            late: sum.late,
            sum: Bucket {
                posted: sum.posted,
                pending: sum.pending,
                net_revenue: sum.net_revenue,
                entries: u64::try_from(sum.entries).unwrap_or_default(),
                pending_entries: u64::try_from(sum.pending_entries).unwrap_or_default(),
            },
        })
    }
}

/// Visits the entries of a stream that are booked in a range of time, with their sequence numbers.
pub(crate) fn each_booked(
    store: &impl ReadTx,
    stream: &LedgerStream,
    range: Range<Timestamp>,
    mut visit: impl FnMut(u64, &TimeRecord<'_>) -> Result<()>,
) -> Result<()> {
    let key = |time: Timestamp| name_key(stream.as_str(), &time_key(time, &[]));
    for (table, late) in [(LEDGER_TIMES, false), (LEDGER_LATE, true)] {
        store.each(table, key(range.start)..key(range.end), |key, bytes| {
            let record: TimeRecord<'_> = decode(table, bytes)?;
            // A late entry occurred at another time than it is booked.
            if record.late == late { visit(keys::sequence_at_end(key)?, &record) } else { Ok(()) }
        })?;
    }
    Ok(())
}
