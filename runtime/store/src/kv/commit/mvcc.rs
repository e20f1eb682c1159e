//! Multi-version reads: what each key's value was after each group. A group is readable as soon as
//! it is durable, before the index has it: until then its layer supplies its writes. A reader of
//! several keys holds one group. While it does, the values that later groups replace are kept, so
//! that it never sees half a group and no commit waits for it.
//!
//! Writes that are executed but not durable are visible only to [`Versions::newest`]. Its callers
//! check what they read in their own commit. That commit comes later in the same log, so it cannot
//! become durable without the write.
//!
//! Example: `x` and `y` are both 1. Group 7 sets both to 2. Reader R holds group 6.
//!
//! - While group 7 is being synced, only [`Versions::newest`] returns 2.
//! - [`Versions::publish`] adds layer 7 with the values before and after: `x: 1 → 2`, `y: 1 → 2`. A
//!   new reader holds group 7 and takes both values from the layer, whatever the index has.
//! - The writer sets `x` in the index, but not `y` yet. R reads 2 and 1 from the index. Layer 7 is
//!   later than R's group, so R replaces both with the layer's earlier values and sees 1 and 1.
//! - After [`Versions::indexed_all`] new readers use the index alone. Layer 7 is dropped when R is.
//!
//! Invariants:
//!
//! - A write to the index happens after its layer is published, and the layer is dropped only after
//!   [`Versions::indexed_all`]. So layers of the held and earlier groups are read *before* the
//!   index, and layers of later groups *after* it.
//! - A layer is kept while the index may lack it, or a reader holds an earlier group. If layers
//!   exceed [`KEPT`], the oldest are dropped, and the readers that need them get
//!   [`KvError::SnapshotTooOld`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::kv::checksum::seal_of;
use crate::kv::error::KvError;
use crate::kv::key_range::KeyRange;
use crate::kv::log::LogEnd;
use crate::kv::table_checksum::TableSum;

/// Maximum size of the layers, in bytes. Above it the oldest layers are dropped, and the readers
/// that need them get [`KvError::SnapshotTooOld`].
const KEPT: usize = 128 << 20;

/// One key's sealed value before and after a group; `None` if the key was or is absent.
#[derive(Debug, Clone)]
pub(in crate::kv) struct KeyChange {
    pub before: Option<sled::IVec>,
    pub after: Option<sled::IVec>,
    /// Whether the group wrote the key. False if it has only read it.
    pub written: bool,
}

impl KeyChange {
    /// Growth of the records by this change, in bytes, keys included.
    pub fn grown_bytes(&self, key: &[u8]) -> i64 {
        let bytes = |sealed: Option<&sled::IVec>| {
            sealed.map_or(0, |sealed| i64::try_from(key.len() + sealed.len()).unwrap_or(i64::MAX))
        };
        bytes(self.after.as_ref()) - bytes(self.before.as_ref())
    }

    /// Returns the sum of a table after this change.
    pub fn applied_to(&self, sum: TableSum) -> TableSum {
        sum.replaced(self.before.as_deref().map(seal_of), self.after.as_deref().map(seal_of))
    }
}

/// One group's changes, by table slot.
pub(in crate::kv) type BatchChanges = Vec<BTreeMap<sled::IVec, KeyChange>>;

/// One group's changes.
#[derive(Debug)]
pub(in crate::kv) struct BatchLayer {
    generation: u64,
    changes: Arc<BatchChanges>,
    bytes: usize,
}

/// Writes: the table slot, the key, and the sealed value or `None` if the key was deleted.
pub(in crate::kv) type Writes = Vec<(usize, sled::IVec, Option<sled::IVec>)>;

/// Changes that are executed and not durable.
#[derive(Default)]
struct UnsyncedChanges {
    /// The group that is being written to the log.
    handed: Option<Arc<BatchChanges>>,
    /// Visible writes of the group that is being executed: by key, each with its table slot.
    open: HashMap<sled::IVec, Vec<(usize, Option<sled::IVec>)>>,
}

/// The state of the store after one group.
#[derive(Debug, Clone)]
pub(in crate::kv) struct DurableState {
    pub end: LogEnd,
    /// By table slot.
    pub sums: Arc<[TableSum]>,
    /// Growth of all records together since the store was opened, in bytes.
    pub grown_bytes: i64,
}

struct VersionsState {
    /// The state after the last durable group: what a new reader sees.
    durable: DurableState,
    /// After the last group that is wholly in the index.
    indexed: DurableState,
    layers: VecDeque<Arc<BatchLayer>>,
    bytes: usize,
    ahead_of_log: UnsyncedChanges,
    /// The groups that readers hold, each with its number of readers.
    readers: BTreeMap<u64, usize>,
    /// Readers of earlier groups than this are too old.
    oldest: u64,
}

/// The groups that readers can still see.
pub(in crate::kv) struct Versions(Mutex<VersionsState>);

impl Versions {
    /// Returns the versions of a store that has just opened: log and index have the same groups.
    pub fn new(durable: DurableState) -> Self {
        let oldest = durable.end.generation;
        Self(Mutex::new(VersionsState {
            durable: durable.clone(),
            indexed: durable,
            layers: VecDeque::new(),
            bytes: 0,
            ahead_of_log: UnsyncedChanges::default(),
            readers: BTreeMap::new(),
            oldest,
        }))
    }

    fn state(&self) -> MutexGuard<'_, VersionsState> {
        self.0.lock()
    }

    /// After the last group that is durable.
    pub fn durable(&self) -> DurableState {
        self.state().durable.clone()
    }

    /// After the last group that is wholly in the index.
    pub fn indexed(&self) -> DurableState {
        self.state().indexed.clone()
    }

    /// Makes a durable group readable, before it is written to the index.
    pub fn publish(&self, durable: DurableState, changes: Arc<BatchChanges>) -> Arc<BatchLayer> {
        let bytes = changes
            .iter()
            .flatten()
            .map(|(key, change)| key.len() + change.before.as_ref().map_or(0, |value| value.len()) + 64)
            .sum();
        let layer = Arc::new(BatchLayer { generation: durable.end.generation, changes, bytes });
        let mut state = self.state();
        state.durable = durable;
        state.ahead_of_log.handed = None;
        state.bytes += bytes;
        state.layers.push_back(Arc::clone(&layer));
        while state.bytes > KEPT && state.layers.len() > 1 {
            state.drop_oldest();
        }
        layer
    }

    /// Returns what a group that the index may not have completely wrote to a key. Call it *before*
    /// reading the index: it then finds every durable write that the index lacks.
    pub fn unindexed(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        self.state().ahead().find_map(|layer| layer.change(slot, key)).map(|change| change.after.clone())
    }

    /// Makes writes of the open group visible before they are durable.
    pub fn show(&self, writes: Writes) {
        let open = &mut self.state().ahead_of_log.open;
        for (slot, key, after) in writes {
            let tables = open.entry(key).or_default();
            match tables.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, shown)) => *shown = after,
                None => tables.push((slot, after)),
            }
        }
    }

    /// Marks the open group as being written to the log. All of it is visible.
    pub fn hand_over(&self, changes: Arc<BatchChanges>) {
        self.state().ahead_of_log = UnsyncedChanges { handed: Some(changes), open: HashMap::new() };
    }

    /// Discards the visible writes that are not durable, because their group has failed.
    pub fn discard_shown(&self) {
        self.state().ahead_of_log = UnsyncedChanges::default();
    }

    /// Returns what the last visible operation, or a group that the index may not have, wrote to a
    /// key. It may never become durable. Call it *before* reading the index.
    pub fn newest(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        let state = self.state();
        let UnsyncedChanges { handed, open } = &state.ahead_of_log;
        if let Some((_, after)) = open.get(key).and_then(|tables| tables.iter().find(|(known, _)| *known == slot)) {
            return Some(after.clone());
        }
        let handed = handed.as_ref().and_then(|changes| changes.get(slot)?.get(key));
        let change = handed.or_else(|| state.ahead().find_map(|layer| layer.change(slot, key)));
        change.map(|change| change.after.clone())
    }

    /// Records that the index has all durable groups completely, and drops the layers that no
    /// reader needs.
    pub fn indexed_all(&self) {
        let mut state = self.state();
        state.indexed = state.durable.clone();
        state.prune();
    }

    /// Returns a hold on the last durable group.
    pub fn read(self: &Arc<Self>) -> SnapshotGuard {
        let mut state = self.state();
        let at = state.durable.clone();
        *state.readers.entry(at.end.generation).or_default() += 1;
        let ahead = state.ahead().cloned().collect();
        drop(state);
        SnapshotGuard { versions: Arc::clone(self), at, ahead }
    }
}

impl VersionsState {
    /// The groups that the index may not have completely, newest first.
    fn ahead(&self) -> impl Iterator<Item = &Arc<BatchLayer>> {
        self.layers.iter().rev().take_while(|layer| layer.generation > self.indexed.end.generation)
    }

    fn prune(&mut self) {
        let indexed = self.indexed.end.generation;
        let needed = self.readers.keys().next().map_or(indexed, |oldest| indexed.min(*oldest));
        while self.layers.front().is_some_and(|layer| layer.generation <= needed) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(layer) = self.layers.pop_front() {
            self.bytes -= layer.bytes;
            self.oldest = self.oldest.max(layer.generation);
        }
    }

    fn release(&mut self, generation: u64) {
        if let Some(readers) = self.readers.get_mut(&generation) {
            *readers -= 1;
            if *readers == 0 {
                self.readers.remove(&generation);
                self.prune();
            }
        }
    }
}

/// A reader's hold on one group.
pub(in crate::kv) struct SnapshotGuard {
    versions: Arc<Versions>,
    at: DurableState,
    /// The held group and earlier ones that the index did not have completely when the hold began,
    /// newest first.
    ahead: Vec<Arc<BatchLayer>>,
}

impl SnapshotGuard {
    /// Returns the state after the held group.
    pub fn at(&self) -> &DurableState {
        &self.at
    }

    /// Returns a key's value if a layer has it and the index need not be read.
    pub fn ahead_of_index(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        self.ahead.iter().find_map(|layer| layer.change(slot, key)).map(|change| change.after.clone())
    }

    /// Returns the value of a key after the held group, given `now`, the value in the index.
    pub fn corrected(&self, slot: usize, key: &[u8], now: Option<sled::IVec>) -> Result<Option<sled::IVec>, KvError> {
        let later = self.later()?;
        let changed = later.iter().find_map(|layer| layer.change(slot, key));
        Ok(changed.map_or(now, |change| change.before.clone()))
    }

    /// Returns the records of a range whose value in the index may differ from the value after the
    /// held group, by key. Call it *after* reading the index, like [`SnapshotGuard::later`].
    pub fn corrections(
        &self,
        slot: usize,
        span: &KeyRange,
    ) -> Result<BTreeMap<sled::IVec, Option<sled::IVec>>, KvError> {
        let mut found = BTreeMap::new();
        if span.is_empty() {
            return Ok(found);
        }
        let mut correct = |layer: &BatchLayer, value: fn(&KeyChange) -> &Option<sled::IVec>| {
            let changes =
                layer.changes.get(slot).into_iter().flat_map(|changes| changes.range::<[u8], _>(span.bounds()));
            for (key, change) in changes {
                found.entry(key.clone()).or_insert_with(|| value(change).clone());
            }
        };
        self.ahead.iter().for_each(|layer| correct(layer, |change| &change.after));
        self.later()?.iter().for_each(|layer| correct(layer, |change| &change.before));
        Ok(found)
    }

    /// Returns the layers after the held group. Call it *after* reading the index: it then contains
    /// every later write that the index returned.
    fn later(&self) -> Result<Vec<Arc<BatchLayer>>, KvError> {
        let state = self.versions.state();
        if state.oldest > self.at.end.generation {
            return Err(KvError::SnapshotTooOld);
        }
        Ok(state.layers.iter().filter(|layer| layer.generation > self.at.end.generation).cloned().collect())
    }

    /// Moves the hold to the last durable group, and returns the layers between, oldest first.
    pub fn advance(&mut self) -> Result<Vec<Arc<BatchLayer>>, KvError> {
        let mut state = self.versions.state();
        if state.oldest > self.at.end.generation {
            return Err(KvError::SnapshotTooOld);
        }
        let now = state.durable.clone();
        let between = |layer: &&Arc<BatchLayer>| {
            layer.generation > self.at.end.generation && layer.generation <= now.end.generation
        };
        let layers = state.layers.iter().filter(between).cloned().collect();
        *state.readers.entry(now.end.generation).or_default() += 1;
        state.release(self.at.end.generation);
        let ahead = state.ahead().cloned().collect();
        drop(state);
        (self.at, self.ahead) = (now, ahead);
        Ok(layers)
    }
}

impl Drop for SnapshotGuard {
    fn drop(&mut self) {
        self.versions.state().release(self.at.end.generation);
    }
}

impl BatchLayer {
    /// Returns the group's changes, by table slot.
    pub fn changes(&self) -> &BatchChanges {
        &self.changes
    }

    /// Returns the group's change of a key.
    fn change(&self, slot: usize, key: &[u8]) -> Option<&KeyChange> {
        self.changes.get(slot)?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(generation: u64) -> DurableState {
        let end = LogEnd { generation, position: generation, segment: 1, offset: 0, chain: 0 };
        DurableState { end, sums: Arc::new([]), grown_bytes: 0 }
    }

    fn change(key: &str, before: Option<&str>, after: Option<&str>) -> Arc<BatchChanges> {
        let value = |text: Option<&str>| text.map(sled::IVec::from);
        Arc::new(vec![BTreeMap::from([(
            sled::IVec::from(key),
            KeyChange { before: value(before), after: value(after), written: true },
        )])])
    }

    fn text(value: Option<sled::IVec>) -> Option<String> {
        value.map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    #[test]
    fn a_durable_group_is_readable_before_the_index_has_it() {
        let versions = Arc::new(Versions::new(durable(1)));
        let before = versions.read();
        versions.publish(durable(2), change("k", Some("old"), Some("new")));
        let after = versions.read();

        assert_eq!(versions.unindexed(0, b"k").map(text), Some(Some("new".to_owned())));
        assert_eq!(after.ahead_of_index(0, b"k").map(text), Some(Some("new".to_owned())));
        assert_eq!(after.ahead_of_index(0, b"other"), None);
        // Whichever value the index returns, the earlier reader sees the old one.
        assert_eq!(before.ahead_of_index(0, b"k"), None);
        assert_eq!(text(before.corrected(0, b"k", Some("new".into())).unwrap()), Some("old".to_owned()));

        versions.indexed_all();
        assert_eq!(versions.unindexed(0, b"k"), None);
        assert_eq!(versions.read().ahead_of_index(0, b"k"), None);
        assert_eq!(after.ahead_of_index(0, b"k").map(text), Some(Some("new".to_owned())));
    }

    #[test]
    fn uncommitted_values_are_visible_only_to_newest_and_only_until_discarded() {
        let versions = Arc::new(Versions::new(durable(1)));
        let newest = |key: &[u8]| versions.newest(0, key).map(text);
        let write = |key: &str, value: Option<&str>| vec![(0, key.into(), value.map(sled::IVec::from))];
        versions.show(write("k", Some("1")));
        versions.show(write("k", Some("2")));
        assert_eq!(newest(b"k"), Some(Some("2".to_owned())));
        assert_eq!((versions.unindexed(0, b"k"), versions.newest(1, b"k")), (None, None));
        versions.hand_over(change("k", None, Some("2")));
        assert_eq!(newest(b"k"), Some(Some("2".to_owned())));
        versions.show(write("k", None));
        assert_eq!(newest(b"k"), Some(None), "the open group comes after the one that is written");
        versions.publish(durable(2), change("k", None, Some("2")));
        assert_eq!(newest(b"k"), Some(None));
        assert_eq!(versions.unindexed(0, b"k").map(text), Some(Some("2".to_owned())));
        versions.discard_shown();
        assert_eq!(newest(b"k"), Some(Some("2".to_owned())));
    }

    #[test]
    fn a_range_is_read_as_of_the_held_group() {
        let versions = Arc::new(Versions::new(durable(1)));
        versions.publish(durable(2), change("made", None, Some("2")));
        let held = versions.read();
        versions.indexed_all();
        versions.publish(durable(3), change("made", Some("2"), None));
        versions.publish(durable(4), change("later", None, Some("4")));
        let corrections = held.corrections(0, &KeyRange::all()).unwrap();
        let corrections: Vec<_> =
            corrections.into_iter().map(|(key, value)| (text(Some(key)).unwrap(), text(value))).collect();
        assert_eq!(corrections, [("later".to_owned(), None), ("made".to_owned(), Some("2".to_owned()))]);
    }

    #[test]
    fn a_layer_is_kept_without_readers_until_the_index_has_it() {
        let versions = Arc::new(Versions::new(durable(1)));
        for generation in 2..5 {
            versions.publish(durable(generation), change("k", None, Some("v")));
            drop(versions.read());
            assert!(versions.unindexed(0, b"k").is_some());
            versions.indexed_all();
            assert!(versions.state().layers.is_empty());
        }
    }
}
