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
            Self::Tree(tree) => take(tree.range::<&[u8], _>(span.bounds()), reverse, limit).collect(),
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
