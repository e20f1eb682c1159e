//! What a run has done and nobody else sees yet: one layer for the stretch, and one more for each open step, which is dropped with a failed attempt
//! and merged down with a good one.

use super::ledger::Posted;
use super::world::{Measured, Published, Signalled, Started};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// None is a removal.
    pub(super) writes: BTreeMap<String, Option<Vec<u8>>>,
    /// The bytes of their keys and values.
    pub(super) written: usize,
    /// Keys that were read from what took hold.
    pub(super) reads: BTreeSet<String>,
    /// By their external ids: as they are to be.
    pub(super) postings: BTreeMap<String, Posted>,
    pub(super) events: Vec<Published>,
    pub(super) signals: Vec<Signalled>,
    pub(super) starts: Vec<Started>,
    pub(super) cancels: Vec<String>,
    pub(super) metrics: Vec<Measured>,
    /// Places in the run's inbox.
    pub(super) taken: Vec<usize>,
    /// Whether a `compare-and-set` is in it.
    pub(super) claimed: bool,
}

impl Layer {
    /// Puts a value, or none, under a key.
    pub(super) fn put(&mut self, key: String, value: Option<Vec<u8>>) {
        let size = |key: &str, value: &Option<Vec<u8>>| key.len() + value.as_ref().map_or(0, Vec::len);
        self.written += size(&key, &value);
        self.written -= self.writes.get(&key).map_or(0, |old| size(&key, old));
        self.writes.insert(key, value);
    }

    /// What it has touched, as a stretch counts it.
    pub(super) fn things(&self) -> usize {
        self.writes.len()
            + self.reads.len()
            + self.postings.len()
            + self.events.len()
            + self.signals.len()
            + self.starts.len()
            + self.cancels.len()
            + self.taken.len()
    }

    /// Of one that is dropped what was read stays.
    pub(super) fn dropped_into(self, below: &mut Self) {
        below.reads.extend(self.reads);
    }

    /// Lays `above` over this.
    pub(super) fn merge(&mut self, above: Self) {
        for (key, value) in above.writes {
            self.put(key, value);
        }
        self.reads.extend(above.reads);
        self.postings.extend(above.postings);
        self.events.extend(above.events);
        self.signals.extend(above.signals);
        self.starts.extend(above.starts);
        self.cancels.extend(above.cancels);
        self.metrics.extend(above.metrics);
        self.taken.extend(above.taken);
        self.claimed |= above.claimed;
    }
}
