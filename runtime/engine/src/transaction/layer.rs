//! The layers and reads of a transaction: merging them, dropping them and converting them into
//! effects of a commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
use tidemill_store::records::{BalanceCheck, NewEvent, NewSignal, ReadCheck, ScanRequest, StateWrite, Version};

use crate::guest::metrics::MetricSamples;
use crate::transaction::effects::{Effects, StartRun};
use crate::transaction::entries::LayerEntries;

/// Another run has changed something that this transaction read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadConflict;

/// Everything read since the last commit. What accounts were asked is in the layers, because it
/// depends on the entries there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadSet {
    pub(super) keys: BTreeMap<String, Version>,
    pub(super) scans: Vec<ScanRead>,
    pub(super) ids: BTreeMap<String, Version>,
    pub(super) scanned_keys: usize,
}

/// A scan with the versions that it returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScanRead {
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) limit: usize,
    pub(super) seen: Vec<(String, Version)>,
    pub(super) more: bool,
}

/// Effects that are kept or dropped together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EffectLayer {
    pub(super) written: BTreeMap<String, Option<Bytes>>,
    pub(super) written_bytes: usize,
    pub(super) entries: LayerEntries,
    /// External ids of own entries under which the guest tried other content.
    pub(super) id_conflicts: BTreeSet<String>,
    pub(super) starts: Vec<StartRun>,
    pub(super) signals: Vec<NewSignal>,
    pub(super) events: Vec<NewEvent>,
    pub(super) taken: Vec<(String, u64)>,
    pub(super) cancels: Vec<RunId>,
    /// Children whose unsuccessful end the run has observed.
    pub(super) observed: Vec<RunId>,
    pub(super) samples: MetricSamples,
    /// Versions, seen before a commit inside the step, of keys that the step has read and written
    /// and of external ids that it posts under.
    pub(super) held_keys: BTreeMap<String, Version>,
    pub(super) held_ids: BTreeMap<String, Version>,
    /// Whether the layer holds a compare-and-set, a reservation or a draw.
    pub(super) claimed: bool,
    /// What accounts were asked, with the number of the layer's entries before each question.
    pub(super) decisions: Vec<BalanceCheck>,
    /// The number of decisions that were made before a commit inside the step.
    pub(super) held_decisions: usize,
}

impl EffectLayer {
    pub(super) fn things(&self) -> usize {
        self.written.len()
            + self.entries.len()
            + self.id_conflicts.len()
            + self.starts.len()
            + self.signals.len()
            + self.events.len()
            + self.taken.len()
            + self.cancels.len()
            + self.observed.len()
            + self.decisions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.things() == 0 && self.samples.is_empty()
    }

    pub(super) fn merge(&mut self, later: Self) {
        if self.is_empty() && self.held_keys.is_empty() && self.held_ids.is_empty() {
            let claimed = self.claimed || later.claimed;
            *self = Self { claimed, ..later };
            return;
        }
        for (key, value) in later.written {
            self.written_bytes += size(&key, &value);
            self.written_bytes -= self.written.get(&key).map_or(0, |value| size(&key, value));
            self.written.insert(key, value);
        }
        let (entries, decisions) = (self.entries.len(), self.decisions.len());
        if later.held_decisions > 0 {
            self.held_decisions = decisions + later.held_decisions;
        }
        let later_decisions = later.decisions.into_iter();
        self.decisions.extend(later_decisions.map(|check| BalanceCheck { after: entries + check.after, ..check }));
        self.entries.append(later.entries);
        self.id_conflicts.extend(later.id_conflicts);
        self.starts.extend(later.starts);
        self.signals.extend(later.signals);
        self.events.extend(later.events);
        self.taken.extend(later.taken);
        self.cancels.extend(later.cancels);
        self.observed.extend(later.observed);
        self.samples.take_in(later.samples);
        for (key, version) in later.held_keys {
            self.held_keys.entry(key).or_insert(version);
        }
        for (id, version) in later.held_ids {
            self.held_ids.entry(id).or_insert(version);
        }
        self.claimed |= later.claimed;
    }

    /// Keeps the versions of keys and ids that the step has both read and written, before the reads
    /// are cleared. They are checked again when the step's effects commit.
    pub(super) fn hold(&mut self, reads: &ReadSet) {
        let scanned: HashMap<&str, Version> = match self.written.is_empty() {
            true => HashMap::new(),
            false => {
                reads.scans.iter().flat_map(|scan| &scan.seen).map(|(key, version)| (key.as_str(), *version)).collect()
            }
        };
        for key in self.written.keys() {
            let seen = reads.keys.get(key).or_else(|| scanned.get(key.as_str()));
            if let Some(version) = seen {
                self.held_keys.entry(key.clone()).or_insert(*version);
            }
        }
        self.held_decisions = self.decisions.len();
        for entry in self.entries.iter() {
            if let Some(version) = reads.ids.get(&entry.external_id) {
                self.held_ids.entry(entry.external_id.clone()).or_insert(*version);
            }
        }
    }

    /// Returns the effects of layers, with the reads of the transaction before their decisions.
    pub(super) fn effects<const N: usize>(reads: &ReadSet, layers: [&Self; N]) -> Effects {
        let mut effects = Effects { reads: reads.checks(), ..Effects::default() };
        let mut written: BTreeMap<&String, &Option<Bytes>> = BTreeMap::new();
        for layer in layers {
            written.extend(&layer.written);
            let before = effects.postings.len();
            let decisions = layer.decisions.iter().cloned();
            let checks = decisions.map(|check| BalanceCheck { after: before + check.after, ..check });
            effects.reads.extend(checks.map(|check| ReadCheck::Balance(Box::new(check))));
            effects.postings.extend(layer.entries.iter().cloned());
            effects.id_conflicts.extend(layer.id_conflicts.iter().cloned());
            effects.starts.extend(layer.starts.iter().cloned());
            effects.signals.extend(layer.signals.iter().cloned());
            effects.events.extend(layer.events.iter().cloned());
            effects.taken.extend(layer.taken.iter().map(|(_, place)| *place));
            effects.cancels.extend(&layer.cancels);
            effects.observed.extend(&layer.observed);
            effects.samples.take_in(layer.samples.clone());
        }
        let writes = written.into_iter();
        effects.writes = writes.map(|(key, value)| StateWrite { key: key.clone(), value: value.clone() }).collect();
        effects
    }
}

impl ReadSet {
    pub(super) fn checks(&self) -> Vec<ReadCheck> {
        let keys = self.keys.iter().map(|(key, version)| ReadCheck::State { key: key.clone(), version: *version });
        let scans = self.scans.iter().map(|scan| ReadCheck::Scan {
            request: ScanRequest { prefix: scan.prefix.clone(), after: scan.after.clone(), limit: scan.limit },
            seen: scan.seen.clone(),
            more: scan.more,
        });
        let ids = self.ids.iter();
        let ids = ids.map(|(id, version)| ReadCheck::ExternalId { external_id: id.clone(), version: *version });
        keys.chain(scans).chain(ids).collect()
    }
}

pub(super) fn size(key: &str, value: &Option<Bytes>) -> usize {
    key.len() + value.as_ref().map_or(0, |value| value.len())
}

pub(super) fn note(seen: &mut BTreeMap<String, Version>, name: &str, version: Version) -> Result<(), ReadConflict> {
    match seen.get(name) {
        Some(before) if *before != version => Err(ReadConflict),
        Some(_) => Ok(()),
        None => {
            seen.insert(name.to_owned(), version);
            Ok(())
        }
    }
}
