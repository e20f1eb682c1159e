//! Reads a stored journal for people, chunk by chunk: it takes the memory of one page, regardless
//! of the length of the journal. Knows nothing of replay, nor of the source of the chunks.
//!
//! A page begins at a [`PageStart`]: a number of entries to skip, and a position before a chunk
//! from which they can be reached. The position carries the state that reading needs: the number
//! of entries before it, the chunks in which its open steps begin, and the checksum of the chunk
//! before it. The checksum is chained over the whole journal, so a position in a journal that was
//! cut since is detected. The page is then searched from the beginning.

use bytes::Bytes;

use super::mismatch::DisplayEntry;
use super::record::{CodingContext, ReadRecord, Record};
use super::steps::join;
use super::stored::{checked, sum_of};
use super::{JournalDamage, chunks::HEADER};
use crate::ids::{Fuel, Timestamp};

/// Maximum number of chunks that a position names for its open steps: the maximum number of open
/// steps.
const AROUND: usize = 64;

const NO_RECORD: &str = "it contains an invalid record";

/// A position before a chunk.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    chunk: u32,
    /// Checksum of the chunk before it.
    sum: Option<u32>,
    /// Number of entries before it.
    entries: u64,
    /// The chunks before it in which its open steps begin, in order.
    pub(super) opened: Vec<u32>,
}

/// Start of a page of a journal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PageStart {
    after: u64,
    pub(super) place: ChunkPlace,
}

impl PageStart {
    /// Returns the start after `entries` entries from the beginning of the journal.
    #[must_use]
    pub fn after(entries: u64) -> Self {
        Self { after: entries, place: ChunkPlace::default() }
    }

    /// Number of entries before it.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.after
    }

    /// Returns the same start without its position, for a journal in which the position is not
    /// valid.
    #[must_use]
    pub fn without_position(&self) -> Self {
        Self::after(self.after)
    }

    /// Whether it has no position, so that the page is searched from the beginning.
    #[must_use]
    pub fn is_from_beginning(&self) -> bool {
        self.place.chunk == 0
    }

    /// Encodes it as at most 280 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { after, place: ChunkPlace { chunk, sum, entries, opened } } = self;
        let mut bytes = after.to_le_bytes().to_vec();
        if let Some(sum) = sum {
            bytes.extend_from_slice(&entries.to_le_bytes());
            [chunk, sum].into_iter().chain(opened).for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        bytes
    }

    /// Decodes the bytes of [`Self::to_bytes`]; `None` if they are not valid.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (after, rest) = bytes.split_first_chunk()?;
        let after = u64::from_le_bytes(*after);
        if rest.is_empty() {
            return Some(Self::after(after));
        }
        let (entries, rest) = rest.split_first_chunk()?;
        let (numbers, []) = rest.as_chunks() else { return None };
        let mut numbers = numbers.iter().map(|number| u32::from_le_bytes(*number));
        let (chunk, sum, opened) = (numbers.next()?, numbers.next()?, numbers.collect::<Vec<_>>());
        let ordered = opened.is_sorted_by(|a, b| a < b) && opened.last().is_none_or(|last| *last < chunk);
        let place = ChunkPlace { chunk, sum: Some(sum), entries: u64::from_le_bytes(*entries), opened };
        (chunk > 0 && ordered && place.opened.len() <= AROUND && place.entries <= after)
            .then_some(Self { after, place })
    }
}

/// A page of a journal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct JournalPage {
    /// Entries of the page, in order.
    pub entries: Vec<DisplayEntry>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<PageStart>,
}

/// Reads one page from the chunks that its caller passes.
#[derive(Debug)]
pub struct PageReader {
    /// The position before the next chunk.
    place: ChunkPlace,
    after: u64,
    limit: usize,
    most: usize,
    /// The innermost open step.
    step: String,
    /// Size of the results on the page, in bytes.
    bytes: usize,
    page: JournalPage,
}

impl PageReader {
    /// Starts a page of at most `limit` entries. The page also ends with the entry that brings the
    /// size of its results to `bytes` bytes.
    #[must_use]
    pub fn new(start: PageStart, limit: usize, bytes: usize) -> Self {
        let PageStart { after, place } = start;
        Self { place, after, limit, most: bytes, step: String::new(), bytes: 0, page: JournalPage::default() }
    }

    /// The chunks that the caller passes to [`Self::enter`], in order, before the first call of
    /// [`Self::read`].
    #[must_use]
    pub fn around(&self) -> &[u32] {
        &self.place.opened
    }

    /// The chunk that the caller passes to [`Self::read`] next.
    #[must_use]
    pub const fn chunk(&self) -> u32 {
        self.place.chunk
    }

    /// Enters the steps that begin in `chunk` and are open where the page begins.
    ///
    /// # Errors
    /// If the bytes are not a chunk.
    pub fn enter(&mut self, chunk: &[u8]) -> Result<(), JournalDamage> {
        let (mut context, mut offset) = (CodingContext::default(), HEADER);
        while offset < chunk.len() {
            let read = context.read(chunk, offset).ok_or(JournalDamage { chunk: self.place.chunk, what: NO_RECORD })?;
            self.begin(&read.record);
            offset = read.end;
        }
        Ok(())
    }

    /// Reads a chunk; returns whether the page needs another one.
    ///
    /// # Errors
    /// If the chunk does not follow the chunks before it: it is damaged, or the journal was cut
    /// since.
    pub fn read(&mut self, chunk: &Bytes) -> Result<bool, JournalDamage> {
        let at = self.place.chunk;
        let damaged = |what| JournalDamage { chunk: at, what };
        checked(chunk, self.place.sum).map_err(damaged)?;
        let (mut context, mut offset, mut seq, mut opens) =
            (CodingContext::default(), HEADER, self.place.entries, false);
        while offset < chunk.len() {
            if seq >= self.after && self.is_full() {
                let place = if self.place.opened.len() <= AROUND { self.place.clone() } else { ChunkPlace::default() };
                self.page.next = Some(PageStart { after: seq, place });
                return Ok(false);
            }
            let read = context.read(chunk, offset).ok_or_else(|| damaged(NO_RECORD))?;
            seq += 1;
            if seq > self.after {
                let entry = shown(seq, &read, &context, &self.step, |range| chunk.slice(range));
                self.bytes = self.bytes.saturating_add(entry.result.len());
                self.page.entries.push(entry);
            }
            opens |= self.begin(&read.record);
            offset = read.end;
        }
        if opens {
            self.place.opened.push(at);
        }
        self.place.sum = sum_of(chunk);
        self.place.entries = seq;
        self.place.chunk = at.checked_add(1).ok_or_else(|| damaged("there are too many before it"))?;
        Ok(true)
    }

    /// Returns the page.
    #[must_use]
    pub fn page(self) -> JournalPage {
        self.page
    }

    fn is_full(&self) -> bool {
        self.page.entries.len() >= self.limit || self.bytes >= self.most
    }

    /// Enters a step that begins: it is open from here on, because an ended step leaves no record
    /// of its beginning.
    fn begin(&mut self, record: &Record<'_>) -> bool {
        let Record::Open { name, ordinal, .. } = *record else { return false };
        self.step = join(&self.step, name, ordinal);
        true
    }
}

/// Converts a record to the form that people see.
fn shown(
    seq: u64,
    read: &ReadRecord<'_>,
    context: &CodingContext,
    within: &str,
    bytes: impl Fn(std::ops::Range<usize>) -> Bytes,
) -> DisplayEntry {
    let of = |name, ordinal| join(within, name, ordinal);
    let (kind, step, attempt, not_before, hash) = match read.record {
        Record::Call { kind, request, .. } => (kind.name(), within.to_owned(), None, None, Some(request)),
        Record::Open { name, ordinal, attempt, not_before } => {
            let not_before = (not_before > 0).then_some(Timestamp::from_millis(not_before));
            ("step-begun", of(name, ordinal), Some(attempt), not_before, None)
        }
        Record::Done { name, ordinal, gave_up, .. } => {
            let kind = if gave_up { "step-gave-up" } else { "step-done" };
            (kind, of(name, ordinal), None, None, None)
        }
    };
    DisplayEntry {
        seq,
        kind,
        step,
        attempt,
        not_before,
        at: Timestamp::from_millis(context.at),
        fuel: Fuel::new(context.fuel),
        size: read.result.len() as u64,
        result: bytes(read.result.clone()),
        hash,
        request: read.shown.clone().map(bytes),
    }
}
