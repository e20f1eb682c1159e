//! What was true after which group. A group can be read as soon as it is durable, before the index has it: until then
//! its layer says what it wrote. A reader that looks at several keys holds on to one group; for as long as it does, the
//! values that later groups replaced are kept, so that it never sees half a group and no commit ever waits for it.
//!
//! What is executed and not durable yet is seen by [`Versions::newest`] only: for those whose own commit checks what they read
//! and comes later in the same log, so that it cannot become durable without it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kv::checksum::seal_of;
use crate::kv::error::KvError;
use crate::kv::key_range::KeyRange;
use crate::kv::log::LogEnd;
use crate::kv::table_checksum::TableSum;

/// Replaced values kept for readers exceed this many bytes only until the oldest reader is told that it is too old.
const KEPT: usize = 128 << 20;

/// One key's value before and after a group, sealed; nothing where it was or is absent.
#[derive(Debug, Clone)]
pub(in crate::kv) struct KeyChange {
    pub before: Option<sled::IVec>,
    pub after: Option<sled::IVec>,
    /// Not where the group has only read it, so far.
    pub written: bool,
}

impl KeyChange {
    /// By how many bytes the records have grown with this change, keys included.
    pub fn grown_bytes(&self, key: &[u8]) -> i64 {
        let bytes = |sealed: Option<&sled::IVec>| {
            sealed.map_or(0, |sealed| i64::try_from(key.len() + sealed.len()).unwrap_or(i64::MAX))
        };
        bytes(self.after.as_ref()) - bytes(self.before.as_ref())
    }

    /// The sum of a table after this change.
    pub fn applied_to(&self, sum: TableSum) -> TableSum {
        sum.replaced(self.before.as_deref().map(seal_of), self.after.as_deref().map(seal_of))
    }
}

/// What one group changed, by the table's place.
pub(in crate::kv) type BatchChanges = Vec<BTreeMap<sled::IVec, KeyChange>>;

/// One group's changes.
#[derive(Debug)]
pub(in crate::kv) struct BatchLayer {
    generation: u64,
    changes: Arc<BatchChanges>,
    bytes: usize,
}

/// Writes by the table's place and the key: the sealed value, or nothing where the key was deleted.
pub(in crate::kv) type Writes = Vec<(usize, sled::IVec, Option<sled::IVec>)>;

/// What was executed and is not durable yet.
#[derive(Default)]
struct UnsyncedChanges {
    /// The group that is being written to the log.
    handed: Option<Arc<BatchChanges>>,
    /// Of the group that is being executed, by the table's place.
    open: HashMap<sled::IVec, Vec<(usize, Option<sled::IVec>)>>,
}

/// How the store stands after one group.
#[derive(Debug, Clone)]
pub(in crate::kv) struct DurableState {
    pub end: LogEnd,
    /// By the table's place.
    pub sums: Arc<[TableSum]>,
    /// By how many bytes all records together have grown since the store was opened.
    pub grown_bytes: i64,
}

struct VersionsState {
    /// After the last group that is durable: what a new reader sees.
    durable: DurableState,
    /// After the last group that is wholly in the index.
    indexed: DurableState,
    layers: VecDeque<Arc<BatchLayer>>,
    bytes: usize,
    ahead_of_log: UnsyncedChanges,
    /// Groups that readers hold on to, and how many each.
    readers: BTreeMap<u64, usize>,
    /// Readers of groups before this are too old.
    oldest: u64,
}

/// The groups that readers can still see.
pub(in crate::kv) struct Versions(Mutex<VersionsState>);

impl Versions {
    /// Log and index stand together when the store opens.
    pub fn new(standing: DurableState) -> Self {
        let oldest = standing.end.generation;
        Self(Mutex::new(VersionsState {
            durable: standing.clone(),
            indexed: standing,
            layers: VecDeque::new(),
            bytes: 0,
            ahead_of_log: UnsyncedChanges::default(),
            readers: BTreeMap::new(),
            oldest,
        }))
    }

    fn state(&self) -> MutexGuard<'_, VersionsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the last group that is durable.
    pub fn durable(&self) -> DurableState {
        self.state().durable.clone()
    }

    /// After the last group that is wholly in the index.
    pub fn indexed(&self) -> DurableState {
        self.state().indexed.clone()
    }

    /// Lets readers see a group that has become durable and is about to be put into the index.
    pub fn publish(&self, standing: DurableState, changes: Arc<BatchChanges>) -> Arc<BatchLayer> {
        let bytes = changes
            .iter()
            .flatten()
            .map(|(key, change)| key.len() + change.before.as_ref().map_or(0, |value| value.len()) + 64)
            .sum();
        let layer = Arc::new(BatchLayer { generation: standing.end.generation, changes, bytes });
        let mut state = self.state();
        state.durable = standing;
        state.ahead_of_log.handed = None;
        state.bytes += bytes;
        state.layers.push_back(Arc::clone(&layer));
        while state.bytes > KEPT && state.layers.len() > 1 {
            state.drop_oldest();
        }
        layer
    }

    /// What a group that the index may not have wholly wrote to a key. To be asked *before* the index is read: whatever the
    /// index lacks of a durable group is here then.
    pub fn unindexed(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        self.state().ahead().find_map(|layer| layer.change(slot, key)).map(|change| change.after.clone())
    }

    /// Shows what an operation of the open group wrote, before it is durable.
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

    /// The open group is about to be written to the log; all of it is shown.
    pub fn hand_over(&self, changes: Arc<BatchChanges>) {
        self.state().ahead_of_log = UnsyncedChanges { handed: Some(changes), open: HashMap::new() };
    }

    /// What was shown and is not durable will never be.
    pub fn discard_shown(&self) {
        self.state().ahead_of_log = UnsyncedChanges::default();
    }

    /// What the last operation that was shown, or a group that the index may not have, wrote to a key. It may never become
    /// durable. To be asked *before* the index is read.
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

    /// Tells that all durable groups are wholly in the index.
    pub fn indexed_all(&self) {
        let mut state = self.state();
        state.indexed = state.durable.clone();
        state.prune();
    }

    /// Holds on to the last durable group.
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
    /// The groups that the index may not have wholly, newest first.
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

/// Hold of one group.
pub(in crate::kv) struct SnapshotGuard {
    versions: Arc<Versions>,
    at: DurableState,
    /// The held group and those before it which the index did not have wholly when the hold began, newest first.
    ahead: Vec<Arc<BatchLayer>>,
}

impl SnapshotGuard {
    /// The group held.
    pub fn at(&self) -> &DurableState {
        &self.at
    }

    /// What a key's value is, where the index need not be asked for it.
    pub fn ahead_of_index(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        self.ahead.iter().find_map(|layer| layer.change(slot, key)).map(|change| change.after.clone())
    }

    /// The value of a key, which the index showed as `now`.
    pub fn corrected(&self, slot: usize, key: &[u8], now: Option<sled::IVec>) -> Result<Option<sled::IVec>, KvError> {
        let later = self.later()?;
        let changed = later.iter().find_map(|layer| layer.change(slot, key));
        Ok(changed.map_or(now, |change| change.before.clone()))
    }

    /// What the index showed otherwise of a span than it was after the held group, by key. To be asked *after* the index was
    /// read, as with [`SnapshotGuard::later`].
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

    /// What groups after the held one have changed or are changing. To be asked *after* the index was read:
    /// whatever the index showed of a later group is in it then.
    fn later(&self) -> Result<Vec<Arc<BatchLayer>>, KvError> {
        let state = self.versions.state();
        if state.oldest > self.at.end.generation {
            return Err(KvError::SnapshotTooOld);
        }
        Ok(state.layers.iter().filter(|layer| layer.generation > self.at.end.generation).cloned().collect())
    }

    /// Holds on to the last group instead, and gives what the groups between have changed, oldest first.
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
    /// What the group changed, by the table's place.
    pub fn changes(&self) -> &BatchChanges {
        &self.changes
    }

    /// What the group changed of a key.
    fn change(&self, slot: usize, key: &[u8]) -> Option<&KeyChange> {
        self.changes.get(slot)?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(generation: u64) -> DurableState {
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
    fn a_durable_group_is_read_before_the_index_has_it() {
        let versions = Arc::new(Versions::new(standing(1)));
        let before = versions.read();
        versions.publish(standing(2), change("k", Some("old"), Some("new")));
        let after = versions.read();

        assert_eq!(versions.unindexed(0, b"k").map(text), Some(Some("new".to_owned())));
        assert_eq!(after.ahead_of_index(0, b"k").map(text), Some(Some("new".to_owned())));
        assert_eq!(after.ahead_of_index(0, b"other"), None);
        // Whichever of both the index shows, who began before sees the old one.
        assert_eq!(before.ahead_of_index(0, b"k"), None);
        assert_eq!(text(before.corrected(0, b"k", Some("new".into())).unwrap()), Some("old".to_owned()));

        versions.indexed_all();
        assert_eq!(versions.unindexed(0, b"k"), None);
        assert_eq!(versions.read().ahead_of_index(0, b"k"), None);
        assert_eq!(after.ahead_of_index(0, b"k").map(text), Some(Some("new".to_owned())));
    }

    #[test]
    fn what_is_not_durable_is_seen_by_who_asks_for_it_and_by_nobody_after_it_was_discarded() {
        let versions = Arc::new(Versions::new(standing(1)));
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
        versions.publish(standing(2), change("k", None, Some("2")));
        assert_eq!(newest(b"k"), Some(None));
        assert_eq!(versions.unindexed(0, b"k").map(text), Some(Some("2".to_owned())));
        versions.discard_shown();
        assert_eq!(newest(b"k"), Some(Some("2".to_owned())));
    }

    #[test]
    fn a_span_is_as_it_was_after_the_group_that_is_held() {
        let versions = Arc::new(Versions::new(standing(1)));
        versions.publish(standing(2), change("made", None, Some("2")));
        let held = versions.read();
        versions.indexed_all();
        versions.publish(standing(3), change("made", Some("2"), None));
        versions.publish(standing(4), change("later", None, Some("4")));
        let corrections = held.corrections(0, &KeyRange::all()).unwrap();
        let corrections: Vec<_> =
            corrections.into_iter().map(|(key, value)| (text(Some(key)).unwrap(), text(value))).collect();
        assert_eq!(corrections, [("later".to_owned(), None), ("made".to_owned(), Some("2".to_owned()))]);
    }

    #[test]
    fn what_the_index_lacks_is_kept_though_nobody_reads_and_forgotten_when_it_has_it() {
        let versions = Arc::new(Versions::new(standing(1)));
        for generation in 2..5 {
            versions.publish(standing(generation), change("k", None, Some("v")));
            drop(versions.read());
            assert!(versions.unindexed(0, b"k").is_some());
            versions.indexed_all();
            assert!(versions.state().layers.is_empty());
        }
    }
}
