//! The scrub: reads and verifies every record, and compares each table's number and sum with the
//! expected values. It runs while commits continue, includes their changes, and rests between
//! pieces so that most processor and disk time stays free for others.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;

use super::checksum::{self, seal_of};
use super::error::KvError;
use super::key_range::KeyRange;
use super::snapshot::rows;
use super::state::KvState;
use super::table_checksum::TableSum;
use crate::kv::commit::mvcc::BatchLayer;
use crate::kv::index::space::ScrubResult;

/// Number of records read at a time. It is small, because some records take a megabyte.
const PIECE: usize = 64;
/// Maximum rest between two pieces. Replaced values are kept during the scrub.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(100);

/// How a scan shares the machine with other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanPriority {
    /// The scan does not rest, because callers wait for it.
    Foreground,
    /// The scan rests between pieces: a scrub three times as long as it works, a rewrite twice.
    Background,
}

/// Verifies the whole index.
///
/// # Errors
/// [`KvError::Damaged`] names the first table that does not match. [`KvError::Closed`] if the store
/// closes during the scrub.
pub(super) fn run(shared: &Arc<KvState>, haste: ScanPriority) -> Result<ScrubResult, KvError> {
    let tables = shared.index.tables();
    let _scrubbing = shared.space.scrubs();
    let mut reader = shared.versions.read();
    let mut done = ScrubResult::default();
    let mut sums = vec![TableSum::default(); tables.len()];
    let mut live = 0_i128;
    for (slot, table) in tables.iter().enumerate() {
        let mut rest = KeyRange::all();
        loop {
            if shared.closing.load(Ordering::Acquire) {
                return Err(KvError::Closed);
            }
            let watch = Stopwatch::start();
            let read = rows(&shared.index.reading()?, &reader, slot, &rest, false, PIECE)?;
            for (key, sealed) in &read {
                checksum::unseal(*table, key, sealed)?;
                sums[slot] = sums[slot].replaced(None, Some(seal_of(sealed)));
                done.records += 1;
                done.bytes += (key.len() + sealed.len()) as u64;
                live += (key.len() + sealed.len()) as i128;
            }
            let last = read.last().map(|(key, _)| key.clone()).filter(|_| read.len() == PIECE);
            let covered = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Included(last.to_vec()));
            for layer in reader.advance()? {
                live += account(&mut sums, &layer, slot, covered.clone());
            }
            if haste == ScanPriority::Background {
                thread::sleep((3 * watch.elapsed()).min(LONGEST_REST));
            }
            match last {
                Some(last) => rest = rest.after(&last, false),
                None => break,
            }
        }
    }
    if let Ok(counted) = i64::try_from(live) {
        shared.space.set_base(Some(counted - reader.at().grown_bytes));
    }
    let wrong = tables.iter().zip(&sums).zip(reader.at().sums.iter()).find(|((_, found), expected)| found != expected);
    match wrong {
        None => Ok(done),
        Some(((table, found), expected)) => Err(KvError::damaged(format!(
            "table {} has {} records but {} were acknowledged, or their sums differ",
            table.name, found.count, expected.count
        ))),
    }
}

/// Applies a group's changes to the sums of the part that is already read: the tables before
/// `slot`, and `slot` up to `covered`. Returns the growth of that part in bytes.
fn account(sums: &mut [TableSum], layer: &BatchLayer, slot: usize, covered: Bound<Vec<u8>>) -> i128 {
    let mut grown = 0;
    let whole = KeyRange::all();
    let part = KeyRange::new(Bound::Unbounded, covered);
    for (at, changes) in layer.changes().iter().enumerate().take(slot + 1) {
        let span = if at < slot { &whole } else { &part };
        for (key, change) in changes.range::<[u8], _>(span.bounds()) {
            sums[at] = change.applied_to(sums[at]);
            grown += i128::from(change.grown_bytes(key));
        }
    }
    grown
}
