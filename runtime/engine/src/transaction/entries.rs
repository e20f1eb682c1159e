//! The new ledger entries of one layer of a transaction, with the transaction's own view of them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidemill_core::money::EntryCall;
use tidemill_store::records::NewEntry;

/// New entries in order. Only the list is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LayerEntries {
    list: Vec<NewEntry>,
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

    pub(super) fn iter(&self) -> impl Iterator<Item = &NewEntry> {
        self.list.iter()
    }

    pub(super) fn push(&mut self, entry: NewEntry) {
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
        self.list.get(*self.by_external_id.get(external_id)?)
    }

    /// Returns the reservation with this id.
    pub(super) fn reservation(&self, id: &str) -> Option<&NewEntry> {
        self.list.get(*self.reservations.get(id)?)
    }

    /// Returns the entry that ends the reservation with this id.
    pub(super) fn end_of(&self, reservation: &str) -> Option<&NewEntry> {
        self.list.get(*self.ends.get(reservation)?)
    }
}

impl Serialize for LayerEntries {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(s)
    }
}

impl<'de> Deserialize<'de> for LayerEntries {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut entries = Self::default();
        Vec::deserialize(d)?.into_iter().for_each(|entry| entries.push(entry));
        Ok(entries)
    }
}
