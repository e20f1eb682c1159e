//! The fuel of the runs of each stream, in the same ranges of time as the sums of entries.
//!
//! The commit that ends a run adds its fuel, if its deployment may post. The runs of other
//! deployments read and write nothing here.

use std::ops::Range;

use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::{BucketLevel, RangeCover};
use tidemill_core::{Fuel, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::{keys, totals};
use crate::embedded::tables::{LEDGER_FUEL, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;
use crate::records::{FuelSum, FuelTotal};

/// Adds the fuel of a run that ends at `at`.
pub(crate) fn add(commit: &mut WriteTx<'_, '_>, stream: &LedgerStream, fuel: Fuel, at: Timestamp) -> Result<()> {
    for level in BucketLevel::ALL {
        let key = key(stream, level, level.start_of(at));
        let mut sum: FuelSum = commit.record(LEDGER_FUEL, &key)?.unwrap_or_default();
        sum.fuel = sum.fuel.saturating_add(fuel.get().into());
        sum.runs += 1;
        commit.put_record(LEDGER_FUEL, &key, &sum)?;
    }
    Ok(())
}

/// Returns the fuel of one stream or of all in a range of time.
pub(crate) fn in_range(
    store: &impl ReadTx,
    stream: Option<&LedgerStream>,
    range: &Range<Timestamp>,
) -> Result<Vec<FuelTotal>> {
    let range = BucketLevel::Quarter.widen(range);
    let cover = RangeCover::of(range.start, range.end);
    let mut found = Vec::new();
    for stream in stream.map_or_else(|| streams(store), |stream| Ok(vec![stream.clone()]))? {
        let (mut fuel, mut runs) = (0i128, 0i128);
        for (level, part) in &cover.buckets {
            let sign = if part.subtract { -1 } else { 1 };
            let range = key(&stream, *level, part.start)..key(&stream, *level, part.end);
            store.each(LEDGER_FUEL, range, |_, bytes| {
                let sum: FuelSum = decode(LEDGER_FUEL, bytes)?;
                fuel += sign * i128::try_from(sum.fuel).unwrap_or(i128::MAX);
                runs += sign * i128::from(sum.runs);
                Ok(())
            })?;
        }
        let sum =
            FuelSum { fuel: u128::try_from(fuel).unwrap_or_default(), runs: u64::try_from(runs).unwrap_or_default() };
        if sum.runs > 0 {
            let paper = totals::is_on_paper(store, &stream)?.unwrap_or_default();
            found.push(FuelTotal { stream, paper, sum });
        }
    }
    Ok(found)
}

/// Returns the streams with runs, in order.
fn streams(store: &impl ReadTx) -> Result<Vec<LedgerStream>> {
    let (mut streams, mut range) = (Vec::new(), prefix_range(&[]));
    while let Some((row, _)) = store.range(LEDGER_FUEL, range.clone(), false, 1)?.first() {
        let (stream, _) = keys::stream_and_rest(row)?;
        range.start = prefix_range(&name_key(stream.as_str(), &[])).end;
        streams.push(stream);
    }
    Ok(streams)
}

fn key(stream: &LedgerStream, level: BucketLevel, start: Timestamp) -> Vec<u8> {
    name_key(stream.as_str(), &[&[level.number()][..], &time_key(start, &[])].concat())
}
