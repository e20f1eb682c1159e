//! The packed records: appends and cuts them at the end, and hands out what the store must write.
//! Knows nothing of replay.
//!
//! A chunk consists of its format version, a checksum over its records, and the records. The
//! checksum is seeded with that of the chunk before, so that a lost, foreign or changed chunk is
//! detected. A chunk holds up to 8 KiB; a larger record has a chunk of its own. All chunks but the
//! last are sealed and shared with their writer. The last one grows until it is full, or until it
//! has 1 KiB when a change is handed out.

use std::ops::Range;

use bytes::Bytes;

use super::completed::{OFFSETS, RecordPlace};
use super::record::{CodingContext, ReadRecord, Record, ended_step};

/// The format that is written; all formats up to it can be read.
pub(super) const FORMAT: u8 = 1;
/// Size of format version and checksum, in bytes.
pub(super) const HEADER: usize = 5;
/// Maximum size of a chunk in bytes, unless a single record is larger.
pub(super) const CHUNK_BYTES: usize = 8 * 1024;
/// Size in bytes from which the last chunk is not rewritten.
pub(super) const SEAL_BYTES: usize = 1024;

const _: () = assert!(CHUNK_BYTES <= OFFSETS as usize, "a record's offset must fit where the steps keep it");

#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) records: u32,
    pub(super) done: u32,
}

/// The last chunk while it grows.
#[derive(Debug, Clone)]
pub(super) struct OpenChunk {
    /// The bytes, whose checksum is set when the chunk is handed out.
    pub(super) bytes: Vec<u8>,
    records: u32,
    done: u32,
    context: CodingContext,
    /// Whether it was sealed and then cut. Such a chunk accepts no new step, because each one
    /// would rewrite the chunk.
    reopened: bool,
}

/// A position between two records, to which the records can be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkMark {
    pub(super) chunk: usize,
    pub(super) offset: usize,
    pub(super) in_chunk: (u32, u32),
    pub(super) context: (u64, u64, usize),
    pub(super) last: (u64, u64),
    /// Number of records before it.
    pub(super) records: u64,
    /// Number of ended steps among them.
    pub(super) done: u64,
}

/// Position of a reader: before the record at `offset`, which has the index `seq`.
#[derive(Debug, Clone)]
pub(super) struct RecordCursor {
    chunk: usize,
    offset: usize,
    pub(super) seq: u64,
    /// Number of ended steps that the reader has passed.
    pub(super) done: u64,
    pub(super) context: CodingContext,
}

impl Default for RecordCursor {
    fn default() -> Self {
        Self { chunk: 0, offset: HEADER, seq: 0, done: 0, context: CodingContext::default() }
    }
}

/// All records.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    pub(super) sealed: Vec<Chunk>,
    pub(super) tail: Option<OpenChunk>,
    pub(super) records: u64,
    pub(super) done: u64,
    pub(super) sealed_bytes: u64,
    pub(super) last: (u64, u64),
    /// Number of leading chunks that are stored as they are here.
    pub(super) clean: usize,
    /// The same number before the last change that was handed out.
    pub(super) clean_before: usize,
    /// Number of stored chunks; `None` if it is not known.
    pub(super) written: Option<usize>,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { written: Some(0), ..Self::default() }
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Number of ended steps.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sealed_bytes + self.tail.as_ref().map_or(0, |tail| tail.bytes.len() as u64)
    }

    /// Time and fuel of the last record; zeros without a record.
    pub(super) const fn last(&self) -> (u64, u64) {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.sealed.len() + usize::from(self.tail.is_some())
    }

    fn chunk(&self, index: usize) -> Option<&[u8]> {
        match self.sealed.get(index) {
            Some(chunk) => Some(&chunk.bytes),
            None if index == self.sealed.len() => self.tail.as_ref().map(|tail| &tail.bytes[..]),
            None => None,
        }
    }

    /// Returns part of a chunk, shared if possible.
    pub(super) fn part(&self, chunk: usize, range: Range<usize>) -> Option<Bytes> {
        match self.sealed.get(chunk) {
            Some(chunk) if range.end <= chunk.bytes.len() => Some(chunk.bytes.slice(range)),
            _ => self.chunk(chunk)?.get(range).map(Bytes::copy_from_slice),
        }
    }

    /// The position of the next record.
    pub(super) fn mark(&self) -> ChunkMark {
        let (offset, in_chunk, context) = match &self.tail {
            Some(OpenChunk { bytes, records, done, context, .. }) => {
                (bytes.len(), (*records, *done), (context.at, context.fuel, context.names()))
            }
            None => (HEADER, (0, 0), (0, 0, 0)),
        };
        let (records, done, last) = (self.records, self.done, self.last);
        ChunkMark { chunk: self.sealed.len(), offset, in_chunk, context, last, records, done }
    }

    /// Appends a record; returns its place and the mark before it.
    pub(super) fn append(&mut self, record: &Record<'_>, at: u64, fuel: u64) -> (RecordPlace, ChunkMark) {
        self.make_room(record);
        let mut mark = self.mark();
        loop {
            let tail = self.tail.get_or_insert_with(OpenChunk::new);
            tail.context.write(&mut tail.bytes, record, at, fuel);
            if tail.bytes.len() <= CHUNK_BYTES || tail.records == 0 {
                break;
            }
            // The record is a few bytes longer than estimated: move it to the next chunk.
            tail.bytes.truncate(mark.offset);
            tail.context.back(mark.context.0, mark.context.1, mark.context.2);
            self.seal();
            mark = self.mark();
        }
        self.clean = self.clean.min(mark.chunk);
        self.records += 1;
        self.last = (at, fuel);
        let done = u32::from(matches!(record, Record::Done { .. }));
        self.done += u64::from(done);
        if let Some(tail) = &mut self.tail {
            tail.records += 1;
            tail.done += done;
            if tail.bytes.len() > CHUNK_BYTES {
                self.seal();
            }
        }
        let chunk = u32::try_from(mark.chunk).unwrap_or(u32::MAX);
        (RecordPlace { chunk, offset: u32::try_from(mark.offset).unwrap_or(OFFSETS - 1) }, mark)
    }

    /// Makes sure that the last chunk can take the record.
    fn make_room(&mut self, record: &Record<'_>) {
        match &self.tail {
            Some(tail) => {
                let kept_short = tail.reopened && matches!(record, Record::Open { .. });
                if tail.bytes.len() + record.weight() > CHUNK_BYTES || kept_short && tail.bytes.len() >= SEAL_BYTES {
                    self.seal();
                }
            }
            None => {
                let short = self.sealed.last().is_some_and(|last| last.bytes.len() + record.weight() < SEAL_BYTES);
                if short {
                    self.reopen(usize::MAX);
                }
            }
        }
    }

    /// Makes the last chunk grow again, cut at `offset`.
    fn reopen(&mut self, offset: usize) {
        let Some(chunk) = self.sealed.pop() else { return };
        self.sealed_bytes -= chunk.bytes.len() as u64;
        let kept = offset.min(chunk.bytes.len());
        let mut tail =
            OpenChunk { bytes: chunk.bytes[..kept].to_vec(), reopened: kept < chunk.bytes.len(), ..OpenChunk::new() };
        let mut at = HEADER;
        while at < kept {
            // This code has read or written every record before.
            let Some(read) = tail.context.read(&tail.bytes, at) else { break };
            tail.records += 1;
            tail.done += u32::from(matches!(read.record, Record::Done { .. }));
            at = read.end;
        }
        self.tail = Some(tail);
    }

    pub(super) fn seal(&mut self) {
        if let Some(mut tail) = self.tail.take() {
            self.finish(&mut tail.bytes);
            tail.bytes.shrink_to_fit();
            self.sealed_bytes += tail.bytes.len() as u64;
            self.sealed.push(Chunk { bytes: tail.bytes.into(), records: tail.records, done: tail.done });
        }
    }

    /// Removes all records after `mark`, whose own records must still be present.
    pub(super) fn cut(&mut self, mark: ChunkMark) {
        if mark.records >= self.records {
            return;
        }
        if self.sealed.len() > mark.chunk {
            self.tail = None;
            let keep = mark.chunk + usize::from(mark.offset > HEADER);
            for chunk in self.sealed.drain(keep..) {
                self.sealed_bytes -= chunk.bytes.len() as u64;
            }
            if mark.offset > HEADER {
                self.reopen(mark.offset);
            }
        } else if mark.offset > HEADER
            && let Some(tail) = &mut self.tail
        {
            tail.bytes.truncate(mark.offset);
            (tail.records, tail.done) = mark.in_chunk;
            tail.context.back(mark.context.0, mark.context.1, mark.context.2);
        } else {
            self.tail = None;
        }
        (self.records, self.done, self.last) = (mark.records, mark.done, mark.last);
        self.clean = self.clean.min(mark.chunk);
    }

    /// Returns the mark after the first `records` records.
    pub(super) fn mark_after(&self, records: u64) -> Option<ChunkMark> {
        if records >= self.records {
            return Some(self.mark());
        }
        let mut cursor = RecordCursor::default();
        let (mut first, mut last) = ((0, 0), (0, 0));
        if let Some(before) = records.checked_sub(1) {
            cursor = self.find(before);
            first = (cursor.seq, cursor.done);
            while cursor.seq < records {
                self.read(&mut cursor)?;
            }
            last = (cursor.context.at, cursor.context.fuel);
        }
        let within = |count: u64, before: u64| u32::try_from(count - before).unwrap_or(u32::MAX);
        Some(ChunkMark {
            chunk: cursor.chunk,
            offset: cursor.offset,
            in_chunk: (within(records, first.0), within(cursor.done, first.1)),
            context: (cursor.context.at, cursor.context.fuel, cursor.context.names()),
            last,
            records,
            done: cursor.done,
        })
    }

    /// Returns the beginning of the chunk that contains the record with index `seq`.
    pub(super) fn find(&self, seq: u64) -> RecordCursor {
        let mut cursor = RecordCursor::default();
        for chunk in &self.sealed {
            let next = cursor.seq + u64::from(chunk.records);
            if next > seq {
                break;
            }
            cursor.seq = next;
            cursor.chunk += 1;
            cursor.done += u64::from(chunk.done);
        }
        cursor
    }

    /// The chunk, offset and bytes of the cursor's record; `None` at the end.
    pub(super) fn at(&self, cursor: &mut RecordCursor) -> Option<(usize, usize, &[u8])> {
        let mut bytes = self.chunk(cursor.chunk)?;
        if cursor.offset >= bytes.len() {
            let next = self.chunk(cursor.chunk + 1)?;
            cursor.chunk += 1;
            cursor.offset = HEADER;
            cursor.context.back(0, 0, 0);
            bytes = next;
        }
        (cursor.offset < bytes.len()).then_some((cursor.chunk, cursor.offset, bytes))
    }

    /// The result of the cursor's record and whether the step gave up, if the record is the end of
    /// that step. Moves the cursor past it in that case.
    pub(super) fn next_ended(&self, cursor: &mut RecordCursor, name: &str, ordinal: u32) -> Option<(bool, Bytes)> {
        let (chunk, offset, bytes) = self.at(cursor)?;
        let (at, fuel, names) = (cursor.context.at, cursor.context.fuel, cursor.context.names());
        let read = cursor.context.read(bytes, offset)?;
        match read.record {
            Record::Done { name: n, ordinal: o, gave_up, .. } if n == name && o == ordinal => {
                let result = self.part(chunk, read.result)?;
                (cursor.offset, cursor.seq, cursor.done) = (read.end, cursor.seq + 1, cursor.done + 1);
                Some((gave_up, result))
            }
            _ => {
                cursor.context.back(at, fuel, names);
                None
            }
        }
    }

    /// Reads the cursor's record and moves past it; `None` at the end.
    pub(super) fn read(&self, cursor: &mut RecordCursor) -> Option<ReadRecord<'_>> {
        let (_, offset, bytes) = self.at(cursor)?;
        let read = cursor.context.read(bytes, offset)?;
        cursor.offset = read.end;
        cursor.seq += 1;
        cursor.done += u64::from(matches!(read.record, Record::Done { .. }));
        Some(read)
    }

    /// The same, with the result and the shown request as separate bytes.
    pub(super) fn read_parts(&self, cursor: &mut RecordCursor) -> Option<(ReadRecord<'_>, Bytes, Option<Bytes>)> {
        let read = self.read(cursor)?;
        let result = self.part(cursor.chunk, read.result.clone())?;
        let shown = read.shown.clone().and_then(|range| self.part(cursor.chunk, range));
        Some((read, result, shown))
    }

    /// The result of the ended step at `place`, and whether it gave up.
    pub(super) fn ended_step(&self, place: RecordPlace) -> Option<(bool, Bytes)> {
        let chunk = place.chunk as usize;
        let (gave_up, range) = ended_step(self.chunk(chunk)?, place.offset as usize)?;
        Some((gave_up, self.part(chunk, range)?))
    }
}

impl OpenChunk {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(SEAL_BYTES);
        bytes.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
        Self { bytes, records: 0, done: 0, context: CodingContext::default(), reopened: false }
    }
}
