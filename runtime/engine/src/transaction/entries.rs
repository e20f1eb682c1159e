//! The new ledger entries of one layer of a transaction, with the transaction's own view of them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::money::EntryCall;
use tidemill_store::records::NewEntry;

/// New entries in order. Only the list is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LayerEntries {
    list: Vec<Arc<NewEntry>>,
    /// Positions in the list, by external id.
    by_external_id: HashMap<String, usize>,
    /// Positions of reservations, by their ids.
    reservations: HashMap<String, usize>,
    /// Positions of the entries that end a reservation, by the id of the reservation.
    ends: HashMap<String, usize>,
}

impl LayerEntries {
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &NewEntry> {
        self.list.iter().map(|entry| &**entry)
    }

    /// Returns the entries after the first `places`.
    pub(super) fn after(&self, places: usize) -> &[Arc<NewEntry>] {
        self.list.get(places..).unwrap_or_default()
    }

    pub(super) fn push(&mut self, entry: impl Into<Arc<NewEntry>>) {
        let entry = entry.into();
        let at = self.list.len();
        self.by_external_id.insert(entry.external_id.clone(), at);
        if entry.call == EntryCall::Reserve {
            self.reservations.insert(entry.id.clone(), at);
        }
        if let Some(reservation) = &entry.reservation {
            self.ends.insert(reservation.clone(), at);
        }
        self.list.push(entry);
    }

    pub(super) fn append(&mut self, later: Self) {
        later.list.into_iter().for_each(|entry| self.push(entry));
    }

    /// Returns the entry under an external id.
    pub(super) fn under(&self, external_id: &str) -> Option<&NewEntry> {
        self.list.get(*self.by_external_id.get(external_id)?).map(|entry| &**entry)
    }

    /// Returns the reservation with this id.
    pub(super) fn reservation(&self, id: &str) -> Option<&NewEntry> {
        self.list.get(*self.reservations.get(id)?).map(|entry| &**entry)
    }

    /// Returns the entry that ends the reservation with this id.
    pub(super) fn end_of(&self, reservation: &str) -> Option<&NewEntry> {
        self.list.get(*self.ends.get(reservation)?).map(|entry| &**entry)
    }
}

impl Serialize for LayerEntries {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for LayerEntries {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut entries = Self::default();
        Vec::<NewEntry>::deserialize(d)?.into_iter().for_each(|entry| entries.push(entry));
        Ok(entries)
    }
}
