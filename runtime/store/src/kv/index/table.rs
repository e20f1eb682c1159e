//! One table in the index: read from sled, or *resident*. The records of a resident table are held
//! in memory, and written to the index's files at each checkpoint.
//!
//! A counter that every commit changes costs the index as much as one record per commit. Here it
//! costs a write to a map: the log has each change already, so a crash loses nothing, and a
//! checkpoint writes only the newest value.
//!
//! Example: the index's files hold a counter of 5. Groups 11 and 12 set it to 6 and 7, in the log
//! and in this map. A checkpoint of group 11 writes 7, because the map has only the newest value.
//! After a crash the next opening replays group 12, which sets the counter to 7 again.
//!
//! **Invariant**: before a checkpoint confirms a group, the index's files have every change up to
//! that group. They may also have newer changes. Opening the store replays the log from the
//! checkpoint, and so ends with the same values.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::{Mutex, MutexGuard};

use crate::kv::key_range::KeyRange;

/// Minimum number of records of a scan that trims the cache.
const LONG_SCAN: usize = 256;
/// Number of bytes of a long scan after which its page is accessed once more; see [`trim_cache`].
const BYTES_PER_ACCESS: usize = 1 << 10;

/// The records of one table.
pub(in crate::kv) enum TableIndex {
    /// Read from sled and written to it.
    Tree(sled::Tree),
    /// Held in memory.
    Resident(sled::Tree, Mutex<Records>),
}

#[derive(Default)]
pub(in crate::kv) struct Records {
    sealed: BTreeMap<sled::IVec, sled::IVec>,
    /// The keys that differ from the index's files.
    dirty: BTreeSet<sled::IVec>,
}

impl TableIndex {
    /// Loads all records of `tree` if the table is resident.
    pub fn load(tree: sled::Tree, is_resident: bool) -> sled::Result<Self> {
        if !is_resident {
            return Ok(Self::Tree(tree));
        }
        let sealed = tree.iter().collect::<sled::Result<_>>()?;
        Ok(Self::Resident(tree, Mutex::new(Records { sealed, dirty: BTreeSet::new() })))
    }

    /// Returns the sealed value of a key.
    pub fn get(&self, key: &[u8]) -> sled::Result<Option<sled::IVec>> {
        match self {
            Self::Tree(tree) => tree.get(key),
            Self::Resident(_, records) => Ok(lock(records).sealed.get(key).cloned()),
        }
    }

    /// Returns the first `limit` sealed records of a range that is not empty, or the last ones from
    /// the end if `reverse`.
    pub fn scan(&self, span: &KeyRange, reverse: bool, limit: usize) -> sled::Result<Vec<(sled::IVec, sled::IVec)>> {
        match self {
            Self::Tree(tree) => {
                let rows: Vec<_> =
                    take(tree.range::<&[u8], _>(span.bounds()), reverse, limit).collect::<sled::Result<_>>()?;
                if rows.len() >= LONG_SCAN {
                    trim_cache(tree, &rows)?;
                }
                Ok(rows)
            }
            Self::Resident(_, records) => {
                let records = lock(records);
                let range = take(records.sealed.range::<[u8], _>(span.bounds()), reverse, limit);
                Ok(range.map(|(key, sealed)| (key.clone(), sealed.clone())).collect())
            }
        }
    }

    /// Puts a sealed value, or removes a key.
    pub fn put(&self, key: &[u8], sealed: Option<sled::IVec>) -> sled::Result<()> {
        match self {
            Self::Tree(tree) => put(tree, key, sealed),
            Self::Resident(_, records) => {
                let mut records = lock(records);
                let key = sled::IVec::from(key);
                records.dirty.insert(key.clone());
                match sealed {
                    Some(sealed) => records.sealed.insert(key, sealed),
                    None => records.sealed.remove(&key),
                };
                Ok(())
            }
        }
    }

    /// Writes the changed records of a resident table to its tree. After an error no checkpoint
    /// uses this table: the index is reopened first, and the log replayed.
    pub fn write_back(&self) -> sled::Result<()> {
        let Self::Resident(tree, records) = self else { return Ok(()) };
        let changes: Vec<_> = {
            let mut records = lock(records);
            let dirty = std::mem::take(&mut records.dirty);
            dirty.into_iter().map(|key| (records.sealed.get(&key).cloned(), key)).collect()
        };
        changes.into_iter().try_for_each(|(sealed, key)| put(tree, &key, sealed))
    }
}

/// Makes sled evict the pages that exceed its cache. A page belongs to one of 256 parts of the
/// cache, and sled looks at a part only after 64 accesses to its pages. A scan accesses each page
/// about twice, so it would leave 8,192 pages beyond the limit: hundreds of megabytes if records
/// are long. With one more access for each KiB, it leaves at most 64 × 256 KiB = 16 MiB.
fn trim_cache(tree: &sled::Tree, rows: &[(sled::IVec, sled::IVec)]) -> sled::Result<()> {
    let mut bytes = 0;
    for (key, sealed) in rows {
        bytes += key.len() + sealed.len();
        while bytes >= BYTES_PER_ACCESS {
            bytes -= BYTES_PER_ACCESS;
            tree.contains_key(key)?;
        }
    }
    Ok(())
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock()
}

fn put(tree: &sled::Tree, key: &[u8], sealed: Option<sled::IVec>) -> sled::Result<()> {
    match sealed {
        Some(sealed) => tree.insert(key, sealed).map(drop),
        None => tree.remove(key).map(drop),
    }
}

/// The first `limit` items, or the last ones from the end if `reverse`.
fn take<T>(mut range: impl DoubleEndedIterator<Item = T>, reverse: bool, limit: usize) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || if reverse { range.next_back() } else { range.next() }).take(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resident memory of this process, in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scan_of_a_large_table_does_not_fill_the_memory() {
        const RECORDS: u32 = 16_000;
        const LENGTH: usize = 4 << 10;
        let dir = tempfile::tempdir().unwrap();
        let open = || crate::kv::index::open_files(dir.path(), 1 << 20).unwrap();
        let (db, value) = (open(), vec![7; LENGTH]);
        let tree = db.open_tree("records").unwrap();
        for number in 0..RECORDS {
            tree.insert(number.to_be_bytes(), &value[..]).unwrap();
        }
        db.flush().unwrap();
        drop((db, tree));
        let db = open();
        let table = TableIndex::load(db.open_tree("records").unwrap(), false).unwrap();
        let (before, mut rest, mut most, mut count) = (resident(), KeyRange::all(), 0, 0);
        loop {
            let rows = table.scan(&rest, false, 512).unwrap();
            most = most.max(resident());
            count += rows.len();
            let Some((last, _)) = rows.last() else { break };
            rest = rest.after(last, false);
        }
        assert_eq!(count, RECORDS as usize);
        let grown = most.saturating_sub(before);
        assert!(grown < RECORDS as usize * LENGTH / 2, "{} MiB more", grown >> 20);
    }

    #[test]
    fn a_checkpoint_writes_the_newest_value_of_each_changed_key() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let tree = db.open_tree("counts").unwrap();
        tree.insert("gone", "0").unwrap();
        tree.insert("kept", "0").unwrap();
        let table = TableIndex::load(tree.clone(), true).unwrap();
        table.put(b"new", Some("1".into())).unwrap();
        table.put(b"new", Some("2".into())).unwrap();
        table.put(b"gone", None).unwrap();
        assert_eq!(table.get(b"new").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(tree.get("new").unwrap(), None);
        table.write_back().unwrap();
        let records: Vec<_> = tree.iter().map(Result::unwrap).collect();
        assert_eq!(records, [("kept".into(), "0".into()), ("new".into(), "2".into())]);
        assert_eq!(records, table.scan(&KeyRange::all(), false, 10).unwrap());
        assert_eq!(table.scan(&KeyRange::all(), true, 1).unwrap(), [("new".into(), "2".into())]);
        let TableIndex::Resident(_, records) = &table else { panic!("the table is resident") };
        assert_eq!(records.lock().dirty.len(), 0);
    }
}
