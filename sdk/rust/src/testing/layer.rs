//! The uncommitted effects of a run: one layer for the transaction, and one per open step. The
//! layer of a failed attempt is dropped. The layer of a successful one is merged into the layer
//! below.

use super::ledger::LedgerEntry;
use super::world::{MetricSample, PublishedEvent, SentSignal, StartedRun};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// `None` is a deletion.
    pub(super) writes: BTreeMap<String, Option<Vec<u8>>>,
    /// The size of their keys and values, in bytes.
    pub(super) written: usize,
    /// Keys that were read from committed state.
    pub(super) reads: BTreeSet<String>,
    /// The new values, by external id.
    pub(super) postings: BTreeMap<String, LedgerEntry>,
    pub(super) events: Vec<PublishedEvent>,
    pub(super) signals: Vec<SentSignal>,
    pub(super) starts: Vec<StartedRun>,
    pub(super) cancels: Vec<String>,
    pub(super) metrics: Vec<MetricSample>,
    /// Positions in the run's inbox.
    pub(super) taken: Vec<usize>,
    /// Whether it contains a `compare-and-set` or a reservation.
    pub(super) claimed: bool,
}

impl Layer {
    /// Puts a value under a key, or deletes it with `None`.
    pub(super) fn put(&mut self, key: String, value: Option<Vec<u8>>) {
        let size = |key: &str, value: &Option<Vec<u8>>| key.len() + value.as_ref().map_or(0, Vec::len);
        self.written += size(&key, &value);
        self.written -= self.writes.get(&key).map_or(0, |old| size(&key, old));
        self.writes.insert(key, value);
    }

    /// Returns the number of objects that it touched, as a transaction counts them.
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

    /// Drops this layer but keeps its reads.
    pub(super) fn dropped_into(self, below: &mut Self) {
        below.reads.extend(self.reads);
    }

    /// Merges `above` into this layer.
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
