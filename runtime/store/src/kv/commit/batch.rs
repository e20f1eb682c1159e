//! A group of commits under construction: it runs the waiting operations one after another on the
//! newest state, and holds their writes in memory until they are in the log. It does not write the
//! log.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::kv::checksum::{self, Key, Value};
use crate::kv::commit::mvcc::{BatchChanges, KeyChange, Writes};
use crate::kv::config::Table;
use crate::kv::error::KvError;
use crate::kv::index::IndexReader;
use crate::kv::key_range::KeyRange;

/// Maximum size of all writes of one operation together, in bytes: several times the inputs,
/// outputs and state values of a transaction.
pub const MAX_OPERATION: u64 = 32 << 20;
/// Maximum size of a key, in bytes.
pub const MAX_KEY: usize = 4096;
/// Maximum number of records read by a group's operations that are cached for the rest of the
/// group.
const REMEMBERED: usize = 4096;

/// A guard that is dropped when an operation's writes are visible to
/// [`Kv::newest`](crate::kv::Kv::newest), before they are durable. Its drop releases the callers
/// that wait for it.
pub type VisibilityGuard = Box<dyn Any + Send>;

/// A group's writes on top of the index, and the records that it has read.
pub(in crate::kv) struct Batch {
    tables: &'static [Table],
    /// The previous group, while it is being written to the log. The index may not have it yet.
    below: Option<Arc<BatchChanges>>,
    changes: BatchChanges,
    /// Undo log of the running operation: each key's earlier value, and whether the group had
    /// written it.
    undo: Vec<(usize, sled::IVec, Option<sled::IVec>, bool)>,
    operation_bytes: u64,
    bytes: u64,
    remembered: usize,
    position: u64,
    wrote: bool,
    damage: Option<KvError>,
    /// Whether an operation called [`Tx::publish_early`]. From then on, all writes are visible
    /// before they are durable.
    shows: bool,
    to_show: Writes,
    guards: Vec<VisibilityGuard>,
}

impl Batch {
    /// Returns an empty group; `position` is that of the last operation before it.
    pub fn new(tables: &'static [Table], position: u64) -> Self {
        Self {
            tables,
            below: None,
            changes: std::iter::repeat_with(BTreeMap::new).take(tables.len()).collect(),
            undo: Vec::new(),
            operation_bytes: 0,
            bytes: 0,
            remembered: 0,
            position,
            wrote: false,
            damage: None,
            shows: false,
            to_show: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// Runs one operation; `keep` decides whether its writes stay.
    pub fn run<R>(
        &mut self,
        index: &IndexReader<'_>,
        operation: impl FnOnce(&mut Tx<'_>) -> R,
        keep: impl FnOnce(&R) -> bool,
    ) -> R {
        let mut running = OperationScope { group: self, index, guard: None };
        let result = operation(&mut Tx { group: &mut running });
        if keep(&result) {
            let guard = running.guard.take();
            running.group.settle(guard);
        }
        result
    }

    fn settle(&mut self, guard: Option<VisibilityGuard>) {
        if self.undo.is_empty() {
            return;
        }
        if let Some(guard) = guard {
            self.guards.push(guard);
            if !std::mem::replace(&mut self.shows, true) {
                let written = self.changes.iter().enumerate().flat_map(|(slot, changes)| {
                    let written = changes.iter().filter(|(_, change)| change.written);
                    written.map(move |(key, change)| (slot, key.clone(), change.after.clone()))
                });
                self.to_show = written.collect();
                self.undo.clear();
            }
        }
        for (slot, key, ..) in self.undo.drain(..) {
            if self.shows
                && let Some(change) = self.changes[slot].get(&key)
            {
                self.to_show.push((slot, key, change.after.clone()));
            }
        }
        self.bytes += std::mem::take(&mut self.operation_bytes);
        self.position += 1;
        self.wrote = true;
    }

    fn take_back(&mut self) {
        while let Some((table, key, after, written)) = self.undo.pop() {
            if let Some(change) = self.changes[table].get_mut(&key) {
                (change.after, change.written) = (after, written);
            }
        }
        self.operation_bytes = 0;
    }

    /// Bytes of the keys and values written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The position of the last operation that wrote.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether any operation wrote.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    /// Sets the previous group, while it is being written to the log.
    pub fn set_below(&mut self, below: Arc<BatchChanges>) {
        self.below = Some(below);
    }

    /// Whether an operation of the group called [`Tx::publish_early`].
    pub fn shows(&self) -> bool {
        self.shows
    }

    /// Takes the writes to show since the last call, and the guards to drop once they are visible.
    pub fn take_shown(&mut self) -> (Writes, Vec<VisibilityGuard>) {
        (std::mem::take(&mut self.to_show), std::mem::take(&mut self.guards))
    }

    /// Takes the damage that an operation found, if any.
    pub fn take_damage(&mut self) -> Option<KvError> {
        self.damage.take()
    }

    fn noted<T>(&mut self, result: Result<T, KvError>) -> Result<T, KvError> {
        if let Err(error @ KvError::Damaged { .. }) = &result {
            self.damage.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// Returns the group's changes.
    pub fn into_changes(mut self) -> BatchChanges {
        for changes in &mut self.changes {
            // A record that is created and deleted within the group leaves no change.
            changes.retain(|_, change| change.written && (change.before.is_some() || change.after.is_some()));
        }
        self.changes
    }

    /// Returns what the previous group wrote to a key.
    fn below(&self, table: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        self.below.as_ref()?.get(table)?.get(key).map(|change| change.after.clone())
    }

    fn load(&mut self, index: &IndexReader<'_>, table: usize, key: &sled::IVec) -> Result<&mut KeyChange, KvError> {
        let below = self.below(table, key);
        match self.changes[table].entry(key.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(vacant) => {
                let before = match below {
                    Some(before) => before,
                    None => {
                        let before = index.sealed(table, key)?;
                        if let Some(sealed) = &before {
                            checksum::verify(self.tables[table], key, sealed)?;
                        }
                        before
                    }
                };
                self.remembered += 1;
                Ok(vacant.insert(KeyChange { after: before.clone(), before, written: false }))
            }
        }
    }

    fn get(&mut self, index: &IndexReader<'_>, table: usize, key: &[u8]) -> Result<Option<Value>, KvError> {
        let known = self.changes[table].get(key).map(|change| change.after.clone());
        match known.or_else(|| self.below(table, key)) {
            Some(sealed) => Ok(sealed.map(unsealed)),
            None if self.remembered >= REMEMBERED => index.get(table, key),
            None => Ok(self.load(index, table, &key.into())?.after.clone().map(unsealed)),
        }
    }

    fn write(
        &mut self,
        index: &IndexReader<'_>,
        table: usize,
        key: &[u8],
        sealed: Option<sled::IVec>,
    ) -> Result<(), KvError> {
        let bytes = (key.len() + sealed.as_ref().map_or(0, |sealed| sealed.len())) as u64 + 16;
        if self.operation_bytes + bytes > MAX_OPERATION {
            return Err(KvError::TooLarge {
                what: "the data written by one operation",
                bytes: self.operation_bytes + bytes,
                limit: MAX_OPERATION,
            });
        }
        let key = sled::IVec::from(key);
        let change = self.load(index, table, &key)?;
        let after = std::mem::replace(&mut change.after, sealed);
        let written = std::mem::replace(&mut change.written, true);
        self.undo.push((table, key, after, written));
        self.operation_bytes += bytes;
        Ok(())
    }

    fn scan(
        &self,
        index: &IndexReader<'_>,
        table: usize,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        let mut found = Vec::new();
        let mut rest = span.clone();
        while found.len() < limit && !rest.is_empty() {
            let wanted = limit - found.len();
            let rows = index.scan_verified(table, &rest, reverse, wanted)?;
            let last = rows.last().map(|(key, _)| key.clone()).filter(|_| rows.len() == wanted);
            let part = last.as_ref().map_or_else(|| rest.clone(), |last| rest.clone().until(last, reverse));
            let mut merged: BTreeMap<Key, Value> = rows.into_iter().collect();
            let below = self.below.iter().filter_map(|changes| changes.get(table));
            let below = below.flat_map(|changes| changes.range::<[u8], _>(part.bounds()));
            let written = self.changes[table].range::<[u8], _>(part.bounds()).filter(|(_, change)| change.written);
            for (key, change) in below.chain(written) {
                match &change.after {
                    Some(sealed) => drop(merged.insert(Key::from(key.clone()), unsealed(sealed.clone()))),
                    None => drop(merged.remove(&**key)),
                }
            }
            let rows = merged.into_iter();
            if reverse {
                found.extend(rows.rev().take(wanted))
            } else {
                found.extend(rows.take(wanted))
            }
            match last {
                Some(last) => rest = rest.after(&*last, reverse),
                None => break,
            }
        }
        Ok(found)
    }
}

fn unsealed(sealed: sled::IVec) -> Value {
    // The value was verified when it was read, or was sealed by this group or the previous one.
    let length = sealed.len().saturating_sub(checksum::SEAL);
    Value::from(sealed.subslice(checksum::SEAL.min(sealed.len()), length))
}

/// A running operation. Its writes are undone unless they were settled, even if it panics.
struct OperationScope<'g, 'i> {
    group: &'g mut Batch,
    index: &'g IndexReader<'i>,
    guard: Option<VisibilityGuard>,
}

impl Drop for OperationScope<'_, '_> {
    fn drop(&mut self) {
        self.group.take_back();
    }
}

trait BatchAccess {
    fn slot(&self, id: u8) -> Result<usize, KvError>;
    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Value>, KvError>;
    fn write(&mut self, table: usize, key: &[u8], sealed: Option<sled::IVec>) -> Result<(), KvError>;
    fn scan(
        &mut self,
        table: usize,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError>;
    fn position(&self) -> u64;
    fn publish_early(&mut self, guard: VisibilityGuard);
}

impl BatchAccess for OperationScope<'_, '_> {
    fn slot(&self, id: u8) -> Result<usize, KvError> {
        self.index.slot(id)
    }

    fn get(&mut self, table: usize, key: &[u8]) -> Result<Option<Value>, KvError> {
        let result = self.group.get(self.index, table, key);
        self.group.noted(result)
    }

    fn write(&mut self, table: usize, key: &[u8], sealed: Option<sled::IVec>) -> Result<(), KvError> {
        let result = self.group.write(self.index, table, key, sealed);
        self.group.noted(result)
    }

    fn scan(
        &mut self,
        table: usize,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        let result = self.group.scan(self.index, table, span, reverse, limit);
        self.group.noted(result)
    }

    fn position(&self) -> u64 {
        self.group.position + 1
    }

    fn publish_early(&mut self, guard: VisibilityGuard) {
        self.guard = Some(guard);
    }
}

/// The store as one operation sees it: the newest state, which includes every earlier operation of
/// its group.
///
/// Its writes are not visible outside the group before they are durable, unless it calls
/// [`Tx::publish_early`]. If the operation refuses, none of its writes stay.
pub struct Tx<'g> {
    group: &'g mut dyn BatchAccess,
}

impl Tx<'_> {
    /// Returns the value of a key.
    ///
    /// # Errors
    /// [`KvError::Damaged`] if the value fails its checksum; [`KvError::Io`] if it cannot be read.
    pub fn get(&mut self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Value>, KvError> {
        let slot = self.group.slot(table.id)?;
        self.group.get(slot, key.as_ref())
    }

    /// Returns the first `limit` records of a range in key order, or the last ones from the end if
    /// `reverse`.
    ///
    /// # Errors
    /// As [`Tx::get`].
    pub fn scan(
        &mut self,
        table: Table,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        let slot = self.group.slot(table.id)?;
        self.group.scan(slot, span, reverse, limit)
    }

    /// Puts a value.
    ///
    /// # Errors
    /// [`KvError::TooLarge`] for a key over [`MAX_KEY`] or an operation over [`MAX_OPERATION`];
    /// otherwise as [`Tx::get`], because the previous value is read.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), KvError> {
        let (key, value) = (key.as_ref(), value.as_ref());
        if key.len() > MAX_KEY {
            return Err(KvError::TooLarge { what: "a key", bytes: key.len() as u64, limit: MAX_KEY as u64 });
        }
        if value.len() as u64 > MAX_OPERATION {
            return Err(KvError::TooLarge { what: "a value", bytes: value.len() as u64, limit: MAX_OPERATION });
        }
        let slot = self.group.slot(table.id)?;
        self.group.write(slot, key, Some(checksum::seal(table.id, key, value)))
    }

    /// Deletes a key, if it exists.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) -> Result<(), KvError> {
        let slot = self.group.slot(table.id)?;
        self.group.write(slot, key.as_ref(), None)
    }

    /// The number of this operation among all operations that ever wrote. It strictly increases,
    /// and has gaps only if a group that was visible before it was durable has failed. It is the
    /// version of the values that the operation writes, and its place in the feed. An operation
    /// that writes nothing has no number; the next one gets it.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.group.position()
    }

    /// Makes the operation's writes visible to [`Kv::newest`](crate::kv::Kv::newest) before they
    /// are durable, and then drops `guard`. If the operation refuses or writes nothing, `guard` is
    /// dropped and nothing becomes visible.
    pub fn publish_early(&mut self, guard: VisibilityGuard) {
        self.group.publish_early(guard);
    }
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("position", &self.position()).finish_non_exhaustive()
    }
}
