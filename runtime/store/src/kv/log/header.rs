//! The log's header: the last group that is durable in the index, and where the log continues after
//! it. It has two slots, written in turn, each with its checksum: a torn write loses only one slot.

use std::io;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::{self, Disk, DiskFile};
use crate::kv::error::KvError;
use crate::kv::table_checksum::TableSum;

/// The file's name in the data folder.
pub(in crate::kv) const NAME: &str = "checkpoint";
const SLOT: usize = 4096;
const MAGIC: [u8; 8] = *b"TideCkp\0";
const FIXED: usize = 64;
const ENTRY: usize = 17;
/// Offset of the numbers after the tables. Earlier versions wrote zeros there.
const MORE: usize = SLOT - 24;
/// Maximum number of tables: more do not fit into a slot.
pub(in crate::kv) const MAX_TABLES: usize = 128;

/// A point in the log: the index has everything before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kv) struct LogPoint {
    /// The last group before the point.
    pub generation: u64,
    /// The last position given to an operation before the point.
    pub position: u64,
    /// The segment of the next record.
    pub segment: u64,
    /// The offset of the next record in the segment.
    pub offset: u64,
    /// The checksum of the last record.
    pub chain: u64,
    /// Number and checksum sum of each table's records, by table id.
    pub sums: Vec<(u8, TableSum)>,
    /// The number of the index's folder: see [`folder`](crate::kv::index::folder).
    pub index: u64,
    /// Bytes of all records; `None` if they were not counted.
    pub live_bytes: Option<u64>,
}

/// The file with the two slots.
pub(in crate::kv) struct HeaderFile {
    file: Arc<dyn DiskFile>,
    seed: u64,
    turn: u64,
}

impl HeaderFile {
    /// Writes a new file that contains `point`.
    pub fn create(disk: &dyn Disk, dir: &Path, seed: u64, point: &LogPoint) -> io::Result<()> {
        let mut content = encode(seed, 1, point);
        content.extend_from_slice(&encode(seed, 0, point));
        disk::replace_file(disk, dir, NAME, &content)
    }

    /// Reads the newest sound slot.
    ///
    /// # Errors
    /// [`KvError::Damaged`], or [`KvError::Exhausted`] if the file cannot be opened for now.
    pub fn open(disk: &dyn Disk, dir: &Path, seed: u64) -> Result<(Self, LogPoint), KvError> {
        let failed =
            |error: io::Error| KvError::unreadable(format!("the log's header, {NAME}, cannot be read"), &error);
        let file = disk.open(&dir.join(NAME), false).map_err(failed)?;
        let mut content = vec![0; 2 * SLOT];
        if file.length().map_err(failed)? != content.len() as u64 {
            return Err(KvError::damaged(format!("the log's header, {NAME}, was cut or grew")));
        }
        file.read_exact_at(&mut content, 0).map_err(failed)?;
        let (turn, point) = content
            .chunks_exact(SLOT)
            .filter_map(|slot| decode(seed, slot))
            .max_by_key(|(turn, _)| *turn)
            .ok_or_else(|| KvError::damaged(format!("no slot of the log's header, {NAME}, passes its checksum")))?;
        Ok((Self { file, seed, turn }, point))
    }

    /// Replaces the older slot by `point`, durably.
    pub fn write(&mut self, point: &LogPoint) -> io::Result<()> {
        let turn = self.turn + 1;
        // Slot 0 holds odd turns, as `create` writes them.
        let slot = if turn % 2 == 1 { 0 } else { SLOT as u64 };
        self.file.write_all_at(&encode(self.seed, turn, point), slot)?;
        self.file.sync()?;
        self.turn = turn;
        Ok(())
    }
}

fn encode(seed: u64, turn: u64, point: &LogPoint) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(&MAGIC);
    for number in [turn, point.generation, point.position, point.segment, point.offset, point.chain] {
        slot.extend_from_slice(&number.to_le_bytes());
    }
    slot.extend_from_slice(&(point.sums.len() as u64).to_le_bytes());
    for (table, sum) in &point.sums {
        slot.push(*table);
        slot.extend_from_slice(&sum.count.to_le_bytes());
        slot.extend_from_slice(&sum.sum.to_le_bytes());
    }
    slot.resize(MORE, 0);
    slot.extend_from_slice(&point.index.to_le_bytes());
    slot.extend_from_slice(&point.live_bytes.map_or(0, |bytes| bytes + 1).to_le_bytes());
    let check = xxh3_64_with_seed(&slot, seed);
    slot.extend_from_slice(&check.to_le_bytes());
    slot
}

fn decode(seed: u64, slot: &[u8]) -> Option<(u64, LogPoint)> {
    let (content, check) = slot.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*check) != xxh3_64_with_seed(content, seed) || !content.starts_with(&MAGIC) {
        return None;
    }
    let number = |index: usize| {
        let at = 8 + 8 * index;
        content.get(at..at + 8).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b))
    };
    let tables = usize::try_from(number(6)?).ok().filter(|tables| *tables <= MAX_TABLES)?;
    let mut sums = Vec::with_capacity(tables);
    for entry in content.get(FIXED..)?.chunks_exact(ENTRY).take(tables) {
        let count = u64::from_le_bytes(*entry.get(1..9)?.first_chunk()?);
        let sum = u64::from_le_bytes(*entry.get(9..17)?.first_chunk()?);
        sums.push((entry[0], TableSum { count, sum }));
    }
    let more =
        |at: usize| content.get(MORE + at..MORE + at + 8).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b));
    let point = LogPoint {
        generation: number(1)?,
        position: number(2)?,
        segment: number(3)?,
        offset: number(4)?,
        chain: number(5)?,
        sums,
        index: more(0)?,
        live_bytes: more(8)?.checked_sub(1),
    };
    Some((number(0)?, point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    fn point(generation: u64) -> LogPoint {
        let sums = (0..128).map(|table| (table, TableSum { count: generation, sum: u64::MAX })).collect();
        let live_bytes = generation.checked_sub(1);
        LogPoint {
            generation,
            position: 9,
            segment: 2,
            offset: 4096,
            chain: 5,
            sums,
            index: generation / 2,
            live_bytes,
        }
    }

    #[test]
    fn a_header_of_an_earlier_version_names_the_first_index_and_no_bytes() {
        let mut slot = encode(7, 1, &LogPoint { index: 0, live_bytes: None, ..point(3) });
        assert!(slot[FIXED + 128 * ENTRY..SLOT - 8].iter().all(|byte| *byte == 0), "as it was written");
        assert_eq!(decode(7, &slot).map(|(_, point)| (point.index, point.live_bytes)), Some((0, None)));
        slot[MORE] = 1;
        assert_eq!(decode(7, &slot), None);
    }

    #[test]
    fn the_newest_sound_slot_is_used() {
        let dir = tempfile::tempdir().unwrap();
        HeaderFile::create(&SystemDisk, dir.path(), 1, &point(0)).unwrap();
        let (mut anchor, found) = HeaderFile::open(&SystemDisk, dir.path(), 1).unwrap();
        assert_eq!(found, point(0));
        for generation in 1..5 {
            anchor.write(&point(generation)).unwrap();
            assert_eq!(HeaderFile::open(&SystemDisk, dir.path(), 1).unwrap().1, point(generation));
        }
        // Turn 5 is in the first slot. If it is torn, turn 4 counts.
        anchor.file.write_all_at(b"torn", 100).unwrap();
        assert_eq!(HeaderFile::open(&SystemDisk, dir.path(), 1).unwrap().1, point(3));
        anchor.file.write_all_at(b"torn", 5000).unwrap();
        assert!(HeaderFile::open(&SystemDisk, dir.path(), 1).is_err());
    }

    #[test]
    fn a_header_of_another_store_or_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        HeaderFile::create(&SystemDisk, dir.path(), 1, &point(0)).unwrap();
        assert!(HeaderFile::open(&SystemDisk, dir.path(), 2).is_err());
        let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(NAME)).unwrap();
        file.set_len(8192 - 1000).unwrap();
        assert!(HeaderFile::open(&SystemDisk, dir.path(), 1).is_err());
    }
}
