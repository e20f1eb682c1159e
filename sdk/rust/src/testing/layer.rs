//! What a run has done and nobody else sees yet: one layer for the stretch, and one more for each open step, which is dropped with a failed attempt
//! and merged down with a good one.

use super::ledger::Posted;
use super::world::{Measured, Published, Signalled, Started};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// None is a removal.
    pub(super) writes: BTreeMap<String, Option<Vec<u8>>>,
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
    /// Lays `above` over this.
    pub(super) fn merge(&mut self, above: Self) {
        self.writes.extend(above.writes);
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
