//! Snapshots: reads of the store as it was after one group, while later groups are committed.

use super::checksum::{self, Key, Value};
use super::config::Table;
use super::error::KvError;
use super::index::IndexReader;
use super::key_range::KeyRange;
use super::state::{CommitPosition, KvState};
use crate::kv::commit::mvcc::SnapshotGuard;

use std::collections::BTreeMap;
use std::sync::Arc;

/// The store after one group, for several reads that never see half a group. No commit waits for a
/// snapshot. The values that commits replace are kept while it exists, up to 128 MiB.
pub struct Snapshot {
    shared: Arc<KvState>,
    reader: SnapshotGuard,
}

impl Snapshot {
    pub(super) fn new(shared: Arc<KvState>) -> Self {
        let reader = shared.versions.read();
        Self { shared, reader }
    }

    /// Returns the position of the snapshot's group.
    #[must_use]
    pub fn commit(&self) -> CommitPosition {
        let end = self.reader.at().end;
        CommitPosition { group: end.generation, position: end.position }
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// [`KvError::Damaged`] if the value fails its checksum, which makes the store read-only;
    /// [`KvError::SnapshotTooOld`] if more than 128 MiB were replaced since; [`KvError::Io`] and
    /// [`KvError::Closed`].
    pub fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Value>, KvError> {
        self.get_inner(table, key.as_ref()).map_err(|error| self.shared.noted(error))
    }

    fn get_inner(&self, table: Table, key: &[u8]) -> Result<Option<Value>, KvError> {
        let slot = self.shared.index.slot(table.id)?;
        let sealed = match self.reader.ahead_of_index(slot, key) {
            Some(sealed) => sealed,
            None => {
                let now = self.shared.index.reading()?.sealed(slot, key)?;
                self.reader.corrected(slot, key, now)?
            }
        };
        sealed.map(|sealed| checksum::unseal(table, key, &sealed)).transpose()
    }

    /// Returns the first `limit` records of a range in key order, or the last ones from the end if
    /// `reverse`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan(
        &self,
        table: Table,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        self.scan_inner(table, span, reverse, limit).map_err(|error| self.shared.noted(error))
    }

    fn scan_inner(
        &self,
        table: Table,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        let slot = self.shared.index.slot(table.id)?;
        let reading = self.shared.index.reading()?;
        rows(&reading, &self.reader, slot, span, reverse, limit)?
            .into_iter()
            .map(|(key, sealed)| {
                let value = checksum::unseal(table, &key, &sealed)?;
                Ok((Key::from(key), value))
            })
            .collect()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("commit", &self.commit()).finish_non_exhaustive()
    }
}

/// Returns the sealed records of a range after the reader's group; unverified.
pub(super) fn rows(
    reading: &IndexReader<'_>,
    reader: &SnapshotGuard,
    slot: usize,
    span: &KeyRange,
    reverse: bool,
    limit: usize,
) -> Result<Vec<(sled::IVec, sled::IVec)>, KvError> {
    let mut found = Vec::new();
    let mut rest = span.clone();
    while found.len() < limit && !rest.is_empty() {
        let wanted = limit - found.len();
        let read = reading.scan(slot, &rest, reverse, wanted)?;
        let last = read.last().map(|(key, _)| key.clone()).filter(|_| read.len() == wanted);
        let part = last.as_ref().map_or_else(|| rest.clone(), |last| rest.clone().until(last, reverse));
        let corrections = reader.corrections(slot, &part)?;
        if corrections.is_empty() {
            found.extend(read);
        } else {
            let mut merged: BTreeMap<sled::IVec, sled::IVec> = read.into_iter().collect();
            for (key, sealed) in corrections {
                match sealed {
                    Some(sealed) => drop(merged.insert(key, sealed)),
                    None => drop(merged.remove(&key)),
                }
            }
            if reverse {
                found.extend(merged.into_iter().rev().take(wanted));
            } else {
                found.extend(merged.into_iter().take(wanted));
            }
        }
        match last {
            Some(last) => rest = rest.after(&last, reverse),
            None => break,
        }
    }
    Ok(found)
}
