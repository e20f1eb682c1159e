//! The recently billed records, so that a feed that repeats itself does not bill a customer twice.
//! The ledger always refuses a known id. This file also detects whether the repeated record is the
//! same or has different content. The ledger cannot, because the amount of a record depends on the
//! carried remainder.

use crate::feed::Record;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The number of stored records: the maximum of a page, so that a page that is fetched again is
/// fully known.
const KEPT: usize = 1_000;

/// Serialized as the list of records, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<Billed>", into = "VecDeque<Billed>")]
pub struct Recent {
    order: VecDeque<Billed>,
    units: BTreeMap<String, u64>,
}

/// The id and the units of a record.
type Billed = (String, u64);

/// What is known about a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is new.
    New,
    /// It was billed.
    Same,
    /// A record with this id was billed with other units.
    Changed,
}

impl Recent {
    pub fn find(&self, record: &Record) -> Found {
        match self.units.get(&record.id) {
            None => Found::New,
            Some(&units) if units == record.units => Found::Same,
            Some(_) => Found::Changed,
        }
    }

    pub fn remember(&mut self, record: &Record) {
        self.push((record.id.clone(), record.units));
    }

    fn push(&mut self, billed: Billed) {
        self.units.insert(billed.0.clone(), billed.1);
        self.order.push_back(billed);
        if self.order.len() > KEPT
            && let Some((id, _)) = self.order.pop_front()
        {
            self.units.remove(&id);
        }
    }
}

impl From<VecDeque<Billed>> for Recent {
    fn from(order: VecDeque<Billed>) -> Self {
        let mut recent = Self::default();
        for billed in order {
            recent.push(billed);
        }
        recent
    }
}

impl From<Recent> for VecDeque<Billed> {
    fn from(recent: Recent) -> Self {
        recent.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::Timestamp;

    fn record(id: usize, units: u64) -> Record {
        Record { id: id.to_string(), customer: "c".into(), units, unit: "call".into(), at: Timestamp::default() }
    }

    #[test]
    fn a_record_is_known_until_a_thousand_others_came() {
        let mut recent = Recent::default();
        for id in 0..=KEPT {
            recent.remember(&record(id, 7));
        }
        assert_eq!(recent.find(&record(0, 7)), Found::New);
        assert_eq!(recent.find(&record(1, 7)), Found::Same);
        assert_eq!(recent.find(&record(1, 8)), Found::Changed);
        let text = serde_json::to_string(&recent).unwrap();
        let read: Recent = serde_json::from_str(&text).unwrap();
        assert_eq!((read.order, read.units), (recent.order, recent.units));
    }
}
