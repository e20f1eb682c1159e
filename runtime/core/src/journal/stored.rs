//! Exchanges the packed records with the store: checksums, changes to write, and loading.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::chunks::{Chunk, ChunkMark, Chunks, FORMAT, HEADER, SEAL_BYTES};
use super::completed::{OFFSETS, RecordPlace};
use super::record::{CodingContext, Record};
use super::{JournalChange, JournalDamage};

impl Chunks {
    /// Loads the stored chunks. `each` receives every record with its place and the mark before
    /// it, and can refuse it.
    pub(super) fn load(
        chunks: Vec<Bytes>,
        mut each: impl FnMut(&Record<'_>, RecordPlace, ChunkMark) -> Result<(), &'static str>,
    ) -> Result<Self, JournalDamage> {
        let mut loaded = Self::new();
        loaded.sealed.reserve_exact(chunks.len());
        for (index, bytes) in chunks.into_iter().enumerate() {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            loaded.load_chunk(bytes, number, &mut each).map_err(|what| JournalDamage { chunk: number, what })?;
        }
        loaded.clean = loaded.len();
        loaded.written = Some(loaded.clean);
        Ok(loaded)
    }

    fn load_chunk(
        &mut self,
        bytes: Bytes,
        number: u32,
        each: &mut impl FnMut(&Record<'_>, RecordPlace, ChunkMark) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        checked(&bytes, self.sum_before(self.sealed.len()))?;
        let (mut context, mut offset, mut records, mut done) = (CodingContext::default(), HEADER, 0, 0);
        while offset < bytes.len() {
            let mark = ChunkMark {
                chunk: self.sealed.len(),
                offset,
                in_chunk: (records, done),
                context: (context.at, context.fuel, context.names()),
                last: self.last,
                records: self.records,
                done: self.done,
            };
            let at = u32::try_from(offset)
                .ok()
                .filter(|at| *at < OFFSETS)
                .ok_or("a record begins beyond the maximum offset")?;
            let read = context.read(&bytes, offset).ok_or("it contains an invalid record")?;
            each(&read.record, RecordPlace { chunk: number, offset: at }, mark)?;
            records += 1;
            if matches!(read.record, Record::Done { .. }) {
                done += 1;
                self.done += 1;
            }
            self.records += 1;
            self.last = (context.at, context.fuel);
            offset = read.end;
        }
        self.sealed_bytes += bytes.len() as u64;
        self.sealed.push(Chunk { bytes, records, done });
        Ok(())
    }

    /// Returns what the store must write. A last chunk of some size is sealed first.
    pub(super) fn change(&mut self) -> Option<JournalChange> {
        let len = self.len();
        if self.clean >= len && self.written == Some(len) {
            return None;
        }
        let from = self.clean.min(len);
        if self.tail.as_ref().is_some_and(|tail| tail.bytes.len() >= SEAL_BYTES) {
            self.seal();
        }
        let mut chunks: Vec<Bytes> = self.sealed.iter().skip(from).map(|chunk| chunk.bytes.clone()).collect();
        if let Some(mut tail) = self.tail.take() {
            self.finish(&mut tail.bytes);
            chunks.push(Bytes::copy_from_slice(&tail.bytes));
            self.tail = Some(tail);
        }
        (self.clean_before, self.clean, self.written) = (from, len, Some(len));
        Some(JournalChange { from: u32::try_from(from).unwrap_or(u32::MAX), chunks })
    }

    /// Revokes the last change that was handed out.
    pub(super) fn not_written(&mut self) {
        self.clean = self.clean.min(self.clean_before);
        self.written = None;
    }

    /// Sets the checksum of a chunk that follows the sealed ones.
    pub(super) fn finish(&self, bytes: &mut [u8]) {
        let sum = checksum(bytes, self.sum_before(self.sealed.len()));
        if let Some(place) = bytes.get_mut(1..HEADER) {
            place.copy_from_slice(&sum);
        }
    }

    fn sum_before(&self, index: usize) -> Option<u32> {
        sum_of(&self.sealed.get(index.checked_sub(1)?)?.bytes)
    }
}

/// Checks a chunk's format and that it follows the chunk with the checksum `before` (`None`: it is
/// the first).
pub(super) fn checked(chunk: &[u8], before: Option<u32>) -> Result<(), &'static str> {
    match chunk.first() {
        Some(&FORMAT) => {}
        Some(&newer) if newer > FORMAT => return Err("its format is newer than this release"),
        _ => return Err("it has no valid header"),
    }
    if chunk.len() <= HEADER || chunk.get(1..HEADER) != Some(&checksum(chunk, before)[..]) {
        return Err("its checksum does not match its records and the chunks before it");
    }
    Ok(())
}

/// Reads the checksum in a chunk.
pub(super) fn sum_of(chunk: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*chunk.get(1..HEADER)?.first_chunk()?))
}

fn checksum(chunk: &[u8], before: Option<u32>) -> [u8; 4] {
    // No checksum exceeds 32 bits, so this seed marks a first chunk.
    let seed = before.map_or(u64::MAX, u64::from);
    let sum = xxh3_64_with_seed(chunk.get(HEADER..).unwrap_or_default(), seed);
    let bytes = sum.to_le_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

/// Returns all chunks as they would be stored, without regarding them as written.
#[cfg(test)]
pub(super) fn all_for_tests(chunks: &Chunks) -> Vec<Bytes> {
    let tail = chunks.tail.iter().map(|tail| {
        let mut bytes = tail.bytes.clone();
        chunks.finish(&mut bytes);
        bytes.into()
    });
    chunks.sealed.iter().map(|chunk| chunk.bytes.clone()).chain(tail).collect()
}

/// A first chunk that holds `records`, valid or not, with a correct checksum.
#[cfg(any(test, feature = "fuzzing"))]
#[must_use]
pub fn sealed_chunk(records: &[u8]) -> Bytes {
    let mut bytes = [&[FORMAT, 0, 0, 0, 0], records].concat();
    Chunks::new().finish(&mut bytes);
    bytes.into()
}
