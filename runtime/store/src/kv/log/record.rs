//! A record of the log: one group's writes, complete or not at all.
//!
//! ```text
//! 0  magic            u32      24 last position    u64
//! 4  payload length   u32      32 checksum before  u64
//! 8  segment          u64      40 checksum         u64
//! 16 generation       u64      48 payload, padded with zeros to 8 bytes
//! ```
//!
//! All numbers are little-endian. The checksum covers header and payload, and is seeded with the
//! store's secret seed. The header contains the checksum of the previous record. So a record of a
//! recycled segment, of another store, or one that a guest wrote into a value is never taken for a
//! record of this segment.
//!
//! The payload is the number of changed tables (u8), then for each its id, record count and sum
//! after the group, then the writes: table (u8), 1 for put or 0 for delete (u8), key length and
//! value length (u32 each), key, sealed value.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::kv::table_checksum::TableSum;

/// Bytes before a record's payload.
pub(in crate::kv) const HEADER: usize = 48;
const MAGIC: u32 = u32::from_le_bytes(*b"TMrc");

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) struct RecordHeader {
    pub segment: u64,
    pub generation: u64,
    pub position: u64,
    pub before: u64,
    pub checksum: u64,
    pub payload: usize,
}

impl RecordHeader {
    /// Returns the size of the record in the log, in bytes.
    pub fn length(&self) -> u64 {
        padded(HEADER + self.payload)
    }
}

fn padded(length: usize) -> u64 {
    (length as u64).next_multiple_of(8)
}

/// A record under construction. Its buffer is reused for the next one.
#[derive(Debug, Default)]
pub(in crate::kv) struct RecordBuffer {
    bytes: Vec<u8>,
    payload: Option<usize>,
}

impl RecordBuffer {
    /// Begins a record; `sums` are the changed tables' sums after it.
    pub fn begin(&mut self, sums: impl ExactSizeIterator<Item = (u8, TableSum)>) {
        self.bytes.clear();
        self.payload = None;
        // One large group must not keep its memory allocated.
        if self.bytes.capacity() > 1 << 20 {
            self.bytes.shrink_to(1 << 20);
        }
        self.bytes.resize(HEADER, 0);
        // At most 128 tables, checked when the store opens.
        self.bytes.push(u8::try_from(sums.len()).unwrap_or(u8::MAX));
        for (table, sum) in sums {
            self.bytes.push(table);
            self.bytes.extend_from_slice(&sum.count.to_le_bytes());
            self.bytes.extend_from_slice(&sum.sum.to_le_bytes());
        }
    }

    /// Adds a write: the sealed value, or `None` for a delete. The group bounds the lengths.
    pub fn write(&mut self, table: u8, key: &[u8], sealed: Option<&[u8]>) {
        self.bytes.push(table);
        self.bytes.push(u8::from(sealed.is_some()));
        self.bytes.extend_from_slice(&length32(key));
        self.bytes.extend_from_slice(&length32(sealed.unwrap_or_default()));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(sealed.unwrap_or_default());
    }

    /// Returns the size that the record will have in the log, in bytes.
    pub fn length(&self) -> u64 {
        padded(self.bytes.len())
    }

    /// Fills in the header, and returns the bytes to write and the record's checksum. It can be
    /// called again for another segment.
    pub fn seal(&mut self, seed: u64, segment: u64, generation: u64, position: u64, before: u64) -> (&[u8], u64) {
        // Set only once, because sealing pads the buffer.
        let payload = *self.payload.get_or_insert(self.bytes.len() - HEADER);
        let head: [&[u8]; 6] = [
            &MAGIC.to_le_bytes(),
            &u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes(),
            &segment.to_le_bytes(),
            &generation.to_le_bytes(),
            &position.to_le_bytes(),
            &before.to_le_bytes(),
        ];
        let mut at = 0;
        for field in head {
            self.bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let checksum = checksum(seed, &self.bytes[..40], &self.bytes[HEADER..HEADER + payload]);
        self.bytes[40..HEADER].copy_from_slice(&checksum.to_le_bytes());
        let whole = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(whole, 0);
        (&self.bytes, checksum)
    }
}

fn length32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn checksum(seed: u64, header: &[u8], payload: &[u8]) -> u64 {
    xxh3_64_with_seed(payload, xxh3_64_with_seed(header, seed))
}

/// Returns the record at `at` in a segment's bytes, if it is complete and belongs to segment
/// `segment`.
pub(in crate::kv) fn read(bytes: &[u8], at: usize, seed: u64, segment: u64) -> Option<(RecordHeader, &[u8])> {
    let rest = bytes.get(at..)?;
    let header = rest.get(..HEADER)?;
    let number = |from: usize| header.get(from..from + 8).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b));
    let (magic, length) = (header.first_chunk::<4>()?, header.get(4..8)?.first_chunk::<4>()?);
    if u32::from_le_bytes(*magic) != MAGIC || number(8)? != segment {
        return None;
    }
    let payload = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let content = rest.get(HEADER..)?.get(..payload)?;
    let found = RecordHeader {
        segment,
        generation: number(16)?,
        position: number(24)?,
        before: number(32)?,
        checksum: number(40)?,
        payload,
    };
    (checksum(seed, &header[..40], content) == found.checksum).then_some((found, content))
}

/// Finds a complete record of `segment` with a generation of at least `from` at `at` or after.
pub(in crate::kv) fn any_after(bytes: &[u8], at: usize, seed: u64, segment: u64, from: u64) -> Option<RecordHeader> {
    let magic = MAGIC.to_le_bytes();
    (at.next_multiple_of(8)..bytes.len().saturating_sub(HEADER))
        .step_by(8)
        .filter(|&at| bytes[at..at + 4] == magic)
        .filter_map(|at| read(bytes, at, seed, segment))
        .map(|(header, _)| header)
        .find(|header| header.generation >= from)
}

/// One write of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) struct Write<'a> {
    pub table: u8,
    pub key: &'a [u8],
    pub sealed: Option<&'a [u8]>,
}

/// A decoded payload.
#[derive(Debug)]
pub(in crate::kv) struct Payload<'a> {
    pub sums: Vec<(u8, TableSum)>,
    pub writes: Vec<Write<'a>>,
}

/// Decodes a payload; `None` if it is invalid.
pub(in crate::kv) fn decode(payload: &[u8]) -> Option<Payload<'_>> {
    let mut rest = payload;
    let mut sums = Vec::new();
    for _ in 0..take(&mut rest, 1)?[0] {
        let table = take(&mut rest, 1)?[0];
        let count = u64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?);
        let sum = u64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?);
        sums.push((table, TableSum { count, sum }));
    }
    let mut writes = Vec::new();
    while !rest.is_empty() {
        let table = take(&mut rest, 1)?[0];
        let put = match take(&mut rest, 1)?[0] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let key = u32::from_le_bytes(*take(&mut rest, 4)?.first_chunk()?);
        let value = u32::from_le_bytes(*take(&mut rest, 4)?.first_chunk()?);
        let key = take(&mut rest, usize::try_from(key).ok()?)?;
        let value = take(&mut rest, usize::try_from(value).ok()?)?;
        writes.push(Write { table, key, sealed: put.then_some(value) });
    }
    Some(Payload { sums, writes })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Written = (u8, Vec<u8>, Option<Vec<u8>>);

    fn sample(writes: &[Written]) -> Vec<u8> {
        let mut buffer = RecordBuffer::default();
        buffer.begin([(1, TableSum { count: 4, sum: 9 })].into_iter());
        for (table, key, value) in writes {
            buffer.write(*table, key, value.as_deref());
        }
        buffer.seal(77, 3, 12, 40, 555).0.to_vec()
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(writes in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20), prop::option::of(prop::collection::vec(any::<u8>(), 0..40))), 0..6)) {
            let bytes = sample(&writes);
            let (header, payload) = read(&bytes, 0, 77, 3).unwrap();
            prop_assert_eq!((header.generation, header.position, header.before), (12, 40, 555));
            prop_assert_eq!(header.length(), bytes.len() as u64);
            let decoded = decode(payload).unwrap();
            let found: Vec<_> = decoded.writes.iter().map(|w| (w.table, w.key.to_vec(), w.sealed.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(found, writes);
            prop_assert!(read(&bytes, 0, 78, 3).is_none());
            prop_assert!(read(&bytes, 0, 77, 4).is_none());
        }

        #[test]
        fn every_changed_byte_is_detected(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let bytes = sample(&[(1, b"key".to_vec(), Some(b"twenty-one characters".to_vec()))]);
            let (header, _) = read(&bytes, 0, 77, 3).unwrap();
            let mut changed = bytes.clone();
            changed[at.index(HEADER + header.payload)] ^= flip;
            prop_assert!(read(&changed, 0, 77, 3).is_none());
        }

        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..220_usize) {
            let _ = decode(&bytes);
            let _ = read(&bytes, at, 1, 1);
            let _ = any_after(&bytes, at, 1, 1, 0);
        }
    }

    #[test]
    fn sealing_again_for_another_segment_gives_a_whole_record() {
        let mut buffer = RecordBuffer::default();
        for length in 0..20 {
            buffer.begin(std::iter::empty());
            buffer.write(1, &vec![7; length], Some(b"value"));
            buffer.seal(77, 3, 12, 40, 555);
            let again = buffer.seal(77, 4, 12, 40, 555).0.to_vec();
            let (_, payload) = read(&again, 0, 77, 4).unwrap();
            assert_eq!(decode(payload).unwrap().writes[0].key.len(), length);
        }
    }
}
