//! Graduated tiers: the first units of a month have the price of the first tier, the units beyond
//! it the price of the second, and so on. Exact in millionths of the currency's unit. `account`
//! handles parts of a minor unit.

use serde::Deserialize;

/// One tier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last unit of a month in this tier. The last tier has none.
    #[serde(default)]
    pub up_to: Option<u64>,
    /// The price of a unit, in millionths of the currency's unit: 400 is 0.0004.
    pub price_micros: u32,
}

/// The tiers, from the first unit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// Returns the reason why the tiers do not price every unit exactly once, or `None`.
    pub fn fault(&self) -> Option<&'static str> {
        let Some((last, before)) = self.0.split_last() else {
            return Some("at least one tier is needed");
        };
        if last.up_to.is_some() {
            return Some("the last tier must have no `up_to`, because units beyond it would have no price");
        }
        let mut end = 0;
        for tier in before {
            match tier.up_to {
                None => return Some("only the last tier may have no `up_to`"),
                Some(up_to) if up_to <= end => return Some("each `up_to` must be higher than the previous one"),
                Some(up_to) => end = up_to,
            }
        }
        None
    }

    /// Returns the price of `units` after `used` units of the month, in millionths. It cannot
    /// overflow: the factors are below 2⁶⁴ and 2³².
    pub fn price(&self, used: u64, units: u64) -> i128 {
        let (mut from, to) = (u128::from(used), u128::from(used) + u128::from(units));
        let mut price = 0i128;
        for tier in &self.0 {
            let end = tier.up_to.map_or(to, |up_to| u128::from(up_to).min(to));
            if end > from {
                price += (end - from) as i128 * i128::from(tier.price_micros);
                from = end;
            }
        }
        price
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(text: &str) -> Tiers {
        serde_json::from_str(text).unwrap()
    }

    fn graduated() -> Tiers {
        tiers(r#"[{"up_to":100,"price_micros":10},{"up_to":1000,"price_micros":5},{"price_micros":1}]"#)
    }

    #[test]
    fn each_unit_has_the_price_of_its_tier() {
        let tiers = graduated();
        assert_eq!(tiers.price(0, 100), 1_000);
        assert_eq!(tiers.price(0, 101), 1_005);
        assert_eq!(tiers.price(99, 2), 15);
        assert_eq!(tiers.price(0, 1_001), 1_000 + 4_500 + 1);
        assert_eq!(tiers.price(5_000, 7), 7);
        assert_eq!(tiers.price(50, 0), 0);
    }

    #[test]
    fn units_cost_the_same_in_one_record_or_in_many() {
        let tiers = graduated();
        for step in [1, 3, 7, 99, 100, 101, 640] {
            let (mut used, mut sum) = (0, 0);
            while used < 2_000 {
                let units = step.min(2_000 - used);
                sum += tiers.price(used, units);
                used += units;
            }
            assert_eq!(sum, tiers.price(0, 2_000), "{step}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let dear = tiers(r#"[{"price_micros":4294967295}]"#);
        assert!(dear.price(u64::MAX, u64::MAX) > 0);
    }

    #[test]
    fn tiers_that_leave_units_without_a_price_are_refused() {
        assert_eq!(graduated().fault(), None);
        for text in [
            "[]",
            r#"[{"up_to":1,"price_micros":1}]"#,
            r#"[{"price_micros":1},{"price_micros":1}]"#,
            r#"[{"up_to":9,"price_micros":1},{"up_to":9,"price_micros":1},{"price_micros":1}]"#,
            r#"[{"up_to":0,"price_micros":1},{"price_micros":1}]"#,
        ] {
            assert!(tiers(text).fault().is_some(), "{text}");
        }
    }
}
