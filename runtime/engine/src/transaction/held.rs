//! What an open step relies on after a commit inside it.

use std::collections::BTreeMap;

use tidemill_store::records::{BalanceCheck, NewEntry, Version};

use crate::transaction::Transaction;

/// What a step relies on that a commit inside the step has not checked for good.
#[derive(Debug, Default)]
pub(crate) struct HeldVersions {
    /// Keys of state that the step has read and written, with the versions seen.
    pub keys: Vec<(String, Version)>,
    /// External ids that the step posts under, with the versions seen.
    pub ids: Vec<(String, Version)>,
    /// Committed reservations that the step ends.
    pub reservations: Vec<String>,
    /// What accounts have answered.
    pub decisions: Vec<BalanceCheck>,
    /// The entries of the step, if accounts have answered something.
    pub entries: Vec<NewEntry>,
}

impl Transaction {
    /// Returns what the innermost step relies on, if it is also the outermost.
    pub fn held(&self) -> HeldVersions {
        let list =
            |map: &BTreeMap<String, Version>| map.iter().map(|(name, version)| (name.clone(), *version)).collect();
        let [only] = self.steps.as_slice() else { return HeldVersions::default() };
        let ended = only.entries.iter().filter_map(|entry| entry.reservation.as_ref());
        HeldVersions {
            keys: list(&only.held_keys),
            ids: list(&only.held_ids),
            reservations: ended.filter(|id| self.own_reservation(id).is_none()).cloned().collect(),
            decisions: only.decisions.iter().take(only.held_decisions).cloned().collect(),
            entries: if only.held_decisions > 0 { only.entries.iter().cloned().collect() } else { Vec::new() },
        }
    }
}
