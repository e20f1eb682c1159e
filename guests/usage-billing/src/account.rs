//! The usage and the remainder of one customer. Pure: does not store.

use crate::config::Config;
use crate::feed::Record;
use crate::pricing::Tiers;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidemill_sdk::{Remainder, Timestamp};

/// The number of months with stored usage: the current one, and two for late records.
const MONTHS_KEPT: usize = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Used units, by month (`2026-11`) and unit.
    months: BTreeMap<String, BTreeMap<String, u64>>,
    /// The priced rest of less than one minor unit.
    remainder: Remainder,
}

impl Account {
    pub fn new(config: &Config) -> Self {
        Self { months: BTreeMap::new(), remainder: Remainder::new(config.minor_unit_micros) }
    }

    /// Adds a record and returns the minor units that are now due. Returns `None` and adds nothing
    /// if an amount cannot hold the price.
    pub fn charge(&mut self, tiers: &Tiers, record: &Record) -> Option<i64> {
        let month = month(record.at);
        let used = self.months.get(&month).and_then(|units| units.get(&record.unit)).copied().unwrap_or(0);
        let total = used.checked_add(record.units)?;
        let due = self.remainder.add(tiers.price(used, record.units))?;
        self.months.entry(month).or_default().insert(record.unit.clone(), total);
        while self.months.len() > MONTHS_KEPT {
            self.months.pop_first();
        }
        Some(due)
    }
}

/// Returns the calendar month in UTC.
fn month(at: Timestamp) -> String {
    let (year, month, _) = at.date();
    format!("{year:04}-{month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOVEMBER: u64 = 1_793_491_200_000;
    const DAY: u64 = 86_400_000;

    fn record(units: u64, unit: &str, at: u64) -> Record {
        let at = Timestamp::from_millis(at);
        Record { id: "r".into(), customer: "c".into(), units, unit: unit.into(), at }
    }

    fn account() -> Account {
        Account { months: BTreeMap::new(), remainder: Remainder::new(10_000) }
    }

    fn tiers(text: &str) -> Tiers {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_million_calls_at_0_0004_are_400_whole_units() {
        let (mut account, tiers) = (account(), tiers(r#"[{"price_micros":400}]"#));
        let due: i64 = (0..1_000_000).map(|_| account.charge(&tiers, &record(1, "call", NOVEMBER)).unwrap()).sum();
        assert_eq!(due, 40_000);
        assert_eq!(account.remainder.carried(), 0);
    }

    #[test]
    fn a_new_month_and_another_unit_begin_in_the_first_tier() {
        let tiers = tiers(r#"[{"up_to":10,"price_micros":1000000},{"price_micros":10000}]"#);
        let mut account = account();
        assert_eq!(account.charge(&tiers, &record(10, "call", NOVEMBER)), Some(1_000));
        assert_eq!(account.charge(&tiers, &record(1, "call", NOVEMBER)), Some(1));
        assert_eq!(account.charge(&tiers, &record(1, "gb", NOVEMBER)), Some(100));
        assert_eq!(account.charge(&tiers, &record(1, "call", NOVEMBER + 30 * DAY)), Some(100));
        // A late record for a month that is still stored.
        assert_eq!(account.charge(&tiers, &record(1, "call", NOVEMBER + DAY)), Some(1));
    }

    #[test]
    fn what_an_amount_cannot_hold_changes_nothing() {
        let (mut account, tiers) = (account(), tiers(r#"[{"price_micros":4294967295}]"#));
        let before = account.clone();
        assert_eq!(account.charge(&tiers, &record(u64::MAX, "call", NOVEMBER)), None);
        assert_eq!(account, before);
    }

    #[test]
    fn months_kept_are_bounded() {
        let (mut account, tiers) = (account(), tiers(r#"[{"price_micros":1}]"#));
        for month in 0..24 {
            account.charge(&tiers, &record(1, "call", NOVEMBER + month * 31 * DAY)).unwrap();
        }
        assert_eq!(account.months.len(), MONTHS_KEPT);
    }
}
