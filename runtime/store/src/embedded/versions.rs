//! What was true after which group. A reader that looks at several keys holds on to one group; for as long
//! as it does, the values that later groups replaced are kept, so that it never sees half a group and no
//! commit ever waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::KvError;
use super::log::LogEnd;
use super::span::Span;
use super::stored::seal_of;
use super::sums::TableSum;

/// Replaced values kept for readers exceed this many bytes only until the oldest reader is told that it is too old.
const KEPT: usize = 128 << 20;

/// One key's value before and after a group, sealed; nothing where it was or is absent.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub before: Option<sled::IVec>,
    pub after: Option<sled::IVec>,
}

impl Change {
    /// The sum of a table after this change.
    pub fn applied_to(&self, sum: TableSum) -> TableSum {
        sum.replaced(self.before.as_deref().map(seal_of), self.after.as_deref().map(seal_of))
    }
}

/// What one group changed, by the table's place.
pub(super) type Changes = Vec<BTreeMap<sled::IVec, Change>>;

/// One group's changes.
#[derive(Debug)]
pub(super) struct Layer {
    generation: u64,
    changes: Changes,
    bytes: usize,
}

/// Where log and index stand together.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub end: LogEnd,
    /// By the table's place.
    pub sums: Arc<[TableSum]>,
}

struct State {
    applied: Applied,
    layers: VecDeque<Arc<Layer>>,
    bytes: usize,
    /// Groups that readers hold on to, and how many each.
    readers: BTreeMap<u64, usize>,
    /// Readers of groups before this are too old.
    oldest: u64,
}

/// The groups that readers can still see.
pub(super) struct Versions(Mutex<State>);

impl Versions {
    pub fn new(applied: Applied) -> Self {
        let oldest = applied.end.generation;
        Self(Mutex::new(State { applied, layers: VecDeque::new(), bytes: 0, readers: BTreeMap::new(), oldest }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last group that is wholly in the index.
    pub fn applied(&self) -> Applied {
        self.state().applied.clone()
    }

    /// Tells readers what the group `generation` is about to change in the index.
    pub fn publish(&self, generation: u64, changes: Changes) -> Arc<Layer> {
        let bytes = changes
            .iter()
            .flatten()
            .map(|(key, change)| key.len() + change.before.as_ref().map_or(0, |value| value.len()) + 64)
            .sum();
        let layer = Arc::new(Layer { generation, changes, bytes });
        let mut state = self.state();
        state.bytes += bytes;
        state.layers.push_back(Arc::clone(&layer));
        while state.bytes > KEPT && state.layers.len() > 1 {
            state.drop_oldest();
        }
        layer
    }

    /// What a key's value was before the group that is being put into the index, where it changes that. To be asked *after*
    /// the index was read.
    pub fn before_unfinished(&self, slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
        let state = self.state();
        let unfinished = state.layers.iter().rev().take_while(|layer| layer.generation > state.applied.end.generation);
        unfinished.filter_map(|layer| Some(layer.changes.get(slot)?.get(key)?.before.clone())).last()
    }

    /// Tells that the group is wholly in the index.
    pub fn finish(&self, applied: Applied) {
        let mut state = self.state();
        state.applied = applied;
        state.prune();
    }

    /// Holds on to the last group.
    pub fn read(self: &Arc<Self>) -> Reader {
        let mut state = self.state();
        let at = state.applied.clone();
        *state.readers.entry(at.end.generation).or_default() += 1;
        drop(state);
        Reader { versions: Arc::clone(self), at }
    }
}

impl State {
    fn prune(&mut self) {
        let needed = self.readers.keys().next().copied().unwrap_or(self.applied.end.generation);
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
pub(super) struct Reader {
    versions: Arc<Versions>,
    at: Applied,
}

impl Reader {
    /// The group held.
    pub fn at(&self) -> &Applied {
        &self.at
    }

    /// What groups after the held one have changed or are changing. To be asked *after* the index was read:
    /// whatever the index showed of a later group is in it then.
    pub fn later(&self) -> Result<Vec<Arc<Layer>>, KvError> {
        let state = self.versions.state();
        if state.oldest > self.at.end.generation {
            return Err(KvError::SnapshotTooOld);
        }
        Ok(state.layers.iter().filter(|layer| layer.generation > self.at.end.generation).cloned().collect())
    }

    /// Holds on to the last group instead, and gives what the groups between have changed, oldest first.
    pub fn advance(&mut self) -> Result<Vec<Arc<Layer>>, KvError> {
        let mut state = self.versions.state();
        if state.oldest > self.at.end.generation {
            return Err(KvError::SnapshotTooOld);
        }
        let now = state.applied.clone();
        let between =
            |layer: &&Arc<Layer>| layer.generation > self.at.end.generation && layer.generation <= now.end.generation;
        let layers = state.layers.iter().filter(between).cloned().collect();
        *state.readers.entry(now.end.generation).or_default() += 1;
        state.release(self.at.end.generation);
        drop(state);
        self.at = now;
        Ok(layers)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.versions.state().release(self.at.end.generation);
    }
}

impl Layer {
    /// What the group changed, by the table's place.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}

/// The value before all of `layers`, where one of them changed it.
pub(super) fn before(layers: &[Arc<Layer>], slot: usize, key: &[u8]) -> Option<Option<sled::IVec>> {
    layers.iter().find_map(|layer| layer.changes.get(slot)?.get(key)).map(|change| change.before.clone())
}

/// The values before all of `layers` of the keys of a span that they changed.
pub(super) fn all_before(layers: &[Arc<Layer>], slot: usize, span: &Span) -> BTreeMap<sled::IVec, Option<sled::IVec>> {
    let mut found = BTreeMap::new();
    if span.is_empty() {
        return found;
    }
    for layer in layers {
        let Some(changes) = layer.changes.get(slot) else { continue };
        for (key, change) in changes.range::<[u8], _>(span.bounds()) {
            found.entry(key.clone()).or_insert_with(|| change.before.clone());
        }
    }
    found
}
