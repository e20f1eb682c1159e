//! A table whose records are held in memory, and written to the index's files at each checkpoint.
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
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kv::key_range::KeyRange;

/// The records of one table.
pub(in crate::kv) struct ResidentTable(Mutex<Records>);

#[derive(Default)]
struct Records {
    sealed: BTreeMap<sled::IVec, sled::IVec>,
    /// The keys that differ from the index's files.
    dirty: BTreeSet<sled::IVec>,
}

impl ResidentTable {
    /// Loads all records of `tree`.
    pub fn load(tree: &sled::Tree) -> sled::Result<Self> {
        let sealed = tree.iter().collect::<sled::Result<_>>()?;
        Ok(Self(Mutex::new(Records { sealed, dirty: BTreeSet::new() })))
    }

    /// Returns the sealed value of a key.
    pub fn get(&self, key: &[u8]) -> Option<sled::IVec> {
        self.lock().sealed.get(key).cloned()
    }

    /// Returns the first `limit` sealed records of a range that is not empty, or the last ones from
    /// the end if `reverse`.
    pub fn scan(&self, span: &KeyRange, reverse: bool, limit: usize) -> Vec<(sled::IVec, sled::IVec)> {
        let records = self.lock();
        let range = records.sealed.range::<[u8], _>(span.bounds());
        let range = range.map(|(key, sealed)| (key.clone(), sealed.clone()));
        if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() }
    }

    /// Puts a sealed value, or removes a key.
    pub fn write(&self, key: &[u8], sealed: Option<sled::IVec>) {
        let mut records = self.lock();
        let key = sled::IVec::from(key);
        records.dirty.insert(key.clone());
        match sealed {
            Some(sealed) => records.sealed.insert(key, sealed),
            None => records.sealed.remove(&key),
        };
    }

    /// Writes the changed records to `tree`. After an error, those not written stay marked as
    /// changed.
    pub fn write_back(&self, tree: &sled::Tree) -> sled::Result<()> {
        let changes: Vec<_> = {
            let mut records = self.lock();
            let dirty = std::mem::take(&mut records.dirty);
            dirty.into_iter().map(|key| (records.sealed.get(&key).cloned(), key)).collect()
        };
        for (done, (sealed, key)) in changes.iter().enumerate() {
            let written = match sealed {
                Some(sealed) => tree.insert(key, sealed.clone()),
                None => tree.remove(key),
            };
            if let Err(error) = written {
                self.lock().dirty.extend(changes.iter().skip(done).map(|(_, key)| key.clone()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let table = ResidentTable::load(&tree).unwrap();
        table.write(b"new", Some("1".into()));
        table.write(b"new", Some("2".into()));
        table.write(b"gone", None);
        assert_eq!(table.get(b"new").as_deref(), Some(&b"2"[..]));
        assert_eq!(tree.get("new").unwrap(), None);
        table.write_back(&tree).unwrap();
        let records: Vec<_> = tree.iter().map(Result::unwrap).collect();
        assert_eq!(records, [("kept".into(), "0".into()), ("new".into(), "2".into())]);
        assert_eq!(records, table.scan(&KeyRange::all(), false, 10));
        assert_eq!(table.scan(&KeyRange::all(), true, 1), [("new".into(), "2".into())]);
        assert_eq!(table.0.lock().unwrap().dirty.len(), 0);
    }
}
