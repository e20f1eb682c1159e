//! Computes the expected revenue from the demo's feed alone. The module that bills the feed adds
//! record by record; here a price is the difference of two sums, so the two computations are
//! independent.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use tidemill_core::Timestamp;
use tidemill_core::money::Currencies;

use crate::feed::DemoWorld;

/// The prices of the demo, from the module's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Prices {
    /// The currency (ISO 4217).
    pub currency: String,
    /// Millionths of the currency's unit in one minor unit.
    pub minor_unit_micros: u64,
    /// The tiers, from the first unit.
    tiers: Vec<Tier>,
}

#[derive(Debug, Clone, Deserialize)]
struct Tier {
    up_to: Option<u64>,
    price_micros: u64,
}

/// The expected revenue of a part of the feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ExpectedRevenue {
    /// Minor units by record id; records without revenue are left out.
    pub amounts: BTreeMap<String, i64>,
    /// Their sum.
    pub total: i128,
}

impl Prices {
    /// Formats an amount in the currency of the demo.
    #[must_use]
    pub fn amount(&self, minor_units: i128) -> String {
        let currency = Currencies::default().get(&self.currency).map(|currency| currency.show(minor_units));
        currency.unwrap_or_else(|| minor_units.to_string())
    }

    /// Returns the total cost of the first `units` of a month, in millionths.
    fn sum(&self, units: u64) -> u128 {
        let mut from = 0;
        let mut sum = 0;
        for tier in &self.tiers {
            let to = tier.up_to.unwrap_or(u64::MAX).min(units);
            sum += u128::from(to.saturating_sub(from)) * u128::from(tier.price_micros);
            from = from.max(to);
        }
        sum
    }

    /// Returns the expected revenue of the feed's first `count` records.
    pub fn expect(&self, world: &DemoWorld, count: u64) -> ExpectedRevenue {
        let mut used: HashMap<(String, String, &str), u64> = HashMap::new();
        let mut carried: HashMap<String, u128> = HashMap::new();
        let mut expected = ExpectedRevenue::default();
        let minor = u128::from(self.minor_unit_micros);
        for record in (0..count).map(|number| world.record(number)) {
            let month = Timestamp::from_millis(record.at).to_rfc3339().chars().take(7).collect();
            let used = used.entry((record.customer.clone(), month, record.unit)).or_default();
            let price = self.sum(*used + record.units) - self.sum(*used);
            *used += record.units;
            let carried = carried.entry(record.customer).or_default();
            let whole = *carried + price;
            *carried = whole % minor;
            let due = i64::try_from(whole / minor).unwrap_or(i64::MAX);
            if due > 0 {
                expected.total += i128::from(due);
                expected.amounts.insert(record.id, due);
            }
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let text = r#"{"currency": "USD", "minor_unit_micros": 10000,
            "tiers": [{"up_to": 100, "price_micros": 900}, {"up_to": 1000, "price_micros": 500}, {"price_micros": 100}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn tiers_are_graduated() {
        assert_eq!([0, 100, 101, 1_000, 1_010].map(|units| prices().sum(units)), [0, 90_000, 90_500, 540_000, 541_000]);
    }

    #[test]
    fn revenue_is_not_rounded_away() {
        let world = DemoWorld { began: 1_800_000_000_000, seed: 3, records: 2_000, port: 0 };
        let mut units: BTreeMap<String, BTreeMap<(String, &str), u64>> = BTreeMap::new();
        for record in (0..3_000).map(|number| world.record(number)) {
            let month = Timestamp::from_millis(record.at).to_rfc3339()[..7].to_owned();
            *units.entry(record.customer).or_default().entry((month, record.unit)).or_default() += record.units;
        }
        let whole: u128 =
            units.values().map(|used| used.values().map(|units| prices().sum(*units)).sum::<u128>() / 10_000).sum();
        let expected = prices().expect(&world, 3_000);
        assert_eq!(expected.total, i128::try_from(whole).unwrap());
        assert!(expected.amounts.len() > 1_000);
    }
}
