//! Reads entries: by sequence number, by id, by external id, and by time.
//!
//! Up to [`CHUNK_ENTRIES`] entries of one commit are one record, under the sequence number of the
//! first. A record for each entry would cost a commit of many entries far more than the entries'
//! bytes.

use std::ops::Range;

use tidemill_core::money::LedgerStream;
use tidemill_core::{RunId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::keys;
use crate::embedded::ledger::record::HeadRecord;
use crate::embedded::tables::{
    ENTRIES, LEDGER_ENTRIES, LEDGER_IDS, LEDGER_MARKS, LEDGER_RUNS, LEDGER_STREAMS, LEDGER_TIMES, name_key,
};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{ExternalId, LedgerEntry, Page, PageRequest, Version};

/// Maximum number of entries in one record.
pub(crate) const CHUNK_ENTRIES: usize = 16;
/// Size of a record, in bytes, at which it takes no more entries.
pub(crate) const CHUNK_BYTES: usize = 6 << 10;

/// Prefix of the id of an entry that no run posted. The sequence number follows.
pub(crate) const HOST_ENTRY: &str = "entry-";

/// Returns the end of the chain.
pub(crate) fn head(store: &impl ReadTx) -> Result<HeadRecord> {
    Ok(store.record(LEDGER_MARKS, keys::HEAD)?.unwrap_or_default())
}

/// Reads entries by their sequence numbers. Keeps the last record that it has read, because
/// neighbours are often wanted together.
pub(crate) struct EntryReader<'s, R: ReadTx> {
    store: &'s R,
    chunk: Vec<LedgerEntry>,
}

impl<'s, R: ReadTx> EntryReader<'s, R> {
    pub(crate) const fn new(store: &'s R) -> Self {
        Self { store, chunk: Vec::new() }
    }

    /// Returns the entry with this sequence number, if it exists.
    pub(crate) fn at(&mut self, sequence: u64) -> Result<Option<&LedgerEntry>> {
        if !self.holds(sequence) {
            let until = [&keys::sequence(sequence)[..], &[0]].concat();
            let found = self.store.range(LEDGER_ENTRIES, Vec::new()..until, true, 1)?;
            let Some((_, bytes)) = found.first() else { return Ok(None) };
            self.chunk = decode(LEDGER_ENTRIES, bytes)?;
        }
        Ok(self.chunk.iter().find(|entry| entry.sequence == sequence))
    }

    /// As [`EntryReader::at`], for an entry that another record names.
    pub(crate) fn named(&mut self, sequence: u64) -> Result<LedgerEntry> {
        self.at(sequence)?
            .cloned()
            .ok_or_else(|| StoreError::Damaged { what: format!("ledger entry {sequence} is missing") })
    }

    fn holds(&self, sequence: u64) -> bool {
        let ends = (self.chunk.first(), self.chunk.last());
        matches!(ends, (Some(first), Some(last)) if (first.sequence..=last.sequence).contains(&sequence))
    }
}

/// Returns the entry with a sequence number.
pub(crate) fn at(store: &impl ReadTx, sequence: u64) -> Result<Option<LedgerEntry>> {
    Ok(EntryReader::new(store).at(sequence)?.cloned())
}

/// Visits the entries of a range of sequence numbers in order, until `visit` returns `false`.
pub(crate) fn each_while(
    store: &impl ReadTx,
    range: Range<u64>,
    mut visit: impl FnMut(LedgerEntry) -> Result<bool>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    // The record that contains the first entry may begin before it.
    let until = [&keys::sequence(range.start)[..], &[0]].concat();
    let first = store.range(LEDGER_ENTRIES, Vec::new()..until, true, 1)?;
    let start = first.first().map_or_else(|| keys::sequence(range.start).to_vec(), |(key, _)| key.to_vec());
    store.each_while(LEDGER_ENTRIES, start..keys::sequence(range.end).to_vec(), |_, bytes| {
        for entry in decode::<Vec<LedgerEntry>>(LEDGER_ENTRIES, bytes)? {
            if range.contains(&entry.sequence) && !visit(entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Returns the entry with an id.
pub(crate) fn by_id(store: &impl ReadTx, id: &str) -> Result<Option<LedgerEntry>> {
    if let Some(number) = id.strip_prefix(HOST_ENTRY) {
        let Ok(sequence) = number.parse() else { return Ok(None) };
        return Ok(at(store, sequence)?.filter(|entry| entry.id == id));
    }
    let Some(run) = id.get(..26).and_then(|run| run.parse::<RunId>().ok()) else { return Ok(None) };
    let mut found = None;
    of_run(store, run, |entry| {
        let same = entry.id == id;
        if same {
            found = Some(entry);
        }
        Ok(!same)
    })?;
    Ok(found)
}

/// Visits the entries that a run posted, in their order, until `visit` returns false.
pub(crate) fn of_run(
    store: &impl ReadTx,
    run: RunId,
    mut visit: impl FnMut(LedgerEntry) -> Result<bool>,
) -> Result<()> {
    let mut more = true;
    store.each_while(LEDGER_RUNS, prefix_range(&run.to_bytes()), |key, bytes| {
        let first = keys::sequence_at_end(key)?;
        let count: u64 = decode(LEDGER_RUNS, bytes)?;
        each_while(store, first..first.saturating_add(count), |entry| {
            more = visit(entry)?;
            Ok(more)
        })?;
        Ok(more)
    })
}

/// Returns the sequence number of the entry with an external id.
pub(crate) fn external_id_sequence(
    store: &impl ReadTx,
    stream: &LedgerStream,
    external_id: &str,
) -> Result<Option<u64>> {
    store.record(LEDGER_IDS, &keys::external_id(stream, external_id))
}

/// Returns the version of an external id. It changes once, when the id is posted.
pub(crate) fn external_id_version(store: &impl ReadTx, stream: &LedgerStream, external_id: &str) -> Result<Version> {
    Ok(external_id_sequence(store, stream, external_id)?.map_or(Version::ABSENT, Version))
}

/// Returns the entry with an external id.
pub(crate) fn by_external_id(
    store: &impl ReadTx,
    stream: &LedgerStream,
    external_id: &str,
) -> Result<Option<LedgerEntry>> {
    let sequence = external_id_sequence(store, stream, external_id)?;
    sequence.map(|sequence| EntryReader::new(store).named(sequence)).transpose()
}

/// Returns an external id with its entry's id and content.
pub(crate) fn external_id(store: &impl ReadTx, stream: &LedgerStream, external_id: &str) -> Result<ExternalId> {
    Ok(match by_external_id(store, stream, external_id)? {
        Some(entry) => ExternalId {
            version: Version(entry.sequence),
            sequence: entry.sequence,
            minor_units: entry.minor_units,
            content: entry.content,
            posting: Some(entry.id),
        },
        None => {
            let (content, version) = (<_>::default(), Version::ABSENT);
            ExternalId { posting: None, sequence: 0, minor_units: 0, content, version }
        }
    })
}

/// Returns the sequence number of the first entry that was posted at `time` or later, or the number
/// after the last entry. Entries before it were known before `time`.
pub(crate) fn first_posted_from(store: &impl ReadTx, time: Timestamp) -> Result<u64> {
    let mut reader = EntryReader::new(store);
    let (mut low, mut high) = (1, head(store)?.head.sequence.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if reader.named(middle)?.posted_at < time { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Returns a page of entries of one stream, newest first by the time of their occurrence.
pub(crate) fn page_of(store: &impl ReadTx, stream: &LedgerStream, page: &PageRequest) -> Result<Page<LedgerEntry>> {
    let mut reader = EntryReader::new(store);
    let rows = store.page(LEDGER_TIMES, &name_key(stream.as_str(), &[]), true, page)?;
    rows.try_map(|(key, _)| reader.named(keys::sequence_at_end(&key)?))
}

/// Returns a page of the entries of all streams, newest first by the time of their occurrence. The
/// cursor is the time and the sequence number of the last entry.
///
/// There is no index of all streams by time, because it would cost a record for each entry. The
/// streams' own indexes are merged.
pub(crate) fn page_of_all(store: &impl ReadTx, page: &PageRequest) -> Result<Page<LedgerEntry>> {
    let limit = page.limit.max(1);
    let mut sources = Vec::new();
    for stream in streams(store)? {
        let mut source = StreamRows { prefix: name_key(stream.as_str(), &[]), rows: Vec::new(), end: None };
        source.end.clone_from(&page.cursor);
        if source.fill(store)? {
            sources.push(source);
        }
    }
    let mut reader = EntryReader::new(store);
    let (mut items, mut last) = (Vec::new(), None);
    while let Some((place, newest)) = newest(&sources) {
        if items.len() == limit {
            return Ok(Page { items, next: last });
        }
        items.push(reader.named(keys::sequence_at_end(&newest)?)?);
        last = Some(newest);
        sources[place].rows.pop();
        if sources[place].rows.is_empty() && !sources[place].fill(store)? {
            sources.swap_remove(place);
        }
    }
    Ok(Page { items, next: None })
}

/// Number of rows of a stream that are read at once.
const ROWS: usize = 16;

/// The rows of one stream that are not in the page yet.
struct StreamRows {
    prefix: Vec<u8>,
    /// Times and sequence numbers, oldest first.
    rows: Vec<Vec<u8>>,
    /// The end of the rows that were not read; `None` if none was.
    end: Option<Vec<u8>>,
}

impl StreamRows {
    /// Reads more rows, and returns whether there are any.
    fn fill(&mut self, store: &impl ReadTx) -> Result<bool> {
        let mut range = prefix_range(&self.prefix);
        if let Some(end) = &self.end {
            range.end = [&self.prefix[..], end].concat();
        }
        let found = store.range(LEDGER_TIMES, range, true, ROWS)?;
        self.rows = found.iter().rev().map(|(key, _)| key[self.prefix.len()..].to_vec()).collect();
        self.end = self.rows.first().cloned();
        Ok(!self.rows.is_empty())
    }
}

fn newest(sources: &[StreamRows]) -> Option<(usize, Vec<u8>)> {
    let rows = sources.iter().enumerate().filter_map(|(place, source)| Some((source.rows.last()?, place)));
    rows.max().map(|(row, place)| (place, row.clone()))
}

/// Returns every stream that has entries, in order.
pub(crate) fn streams(store: &impl ReadTx) -> Result<Vec<LedgerStream>> {
    let mut streams: Vec<LedgerStream> = Vec::new();
    store.each(LEDGER_STREAMS, prefix_range(&[]), |key, _| {
        let (stream, _) = keys::stream_and_rest(key)?;
        if streams.last() != Some(&stream) {
            streams.push(stream);
        }
        Ok(())
    })?;
    Ok(streams)
}

/// Whether the store has no entries of an earlier release.
pub(crate) fn is_converted(store: &impl ReadTx) -> Result<bool> {
    Ok(store.scan_prefix(ENTRIES, &[], 1)?.is_empty())
}

/// Returns the refusal of an entry that breaks a rule of the ledger.
pub(crate) fn refused(id: &str, why: &str) -> StoreError {
    StoreError::IllegalTransition(format!("entry {id} {why}"))
}
