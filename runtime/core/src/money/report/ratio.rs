//! Ratios with four decimals, rounded half to even, once, from exact integers.

use std::fmt;

use crate::money::rounding::divide_half_even;
use crate::money::write_decimal;

/// A ratio in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(i128);

/// Number of decimals of a ratio.
const DECIMALS: u8 = 4;

impl Ratio {
    /// Divides; `None` if `denominator` is 0 or the ratio is out of range.
    #[must_use]
    pub fn of(numerator: i128, denominator: i128) -> Option<Self> {
        let (whole, rest) = (numerator.checked_div(denominator)?, numerator.checked_rem(denominator)?);
        let unit = 10i128.pow(DECIMALS.into());
        let scaled = rest.checked_mul(unit)?;
        let scaled = if denominator < 0 { scaled.checked_neg()? } else { scaled };
        // The whole part adds an even number, so that a tie is the same without it.
        let fraction = divide_half_even(scaled, denominator.unsigned_abs())?;
        whole.checked_mul(unit)?.checked_add(fraction).map(Self)
    }

    /// The growth from `before` to `now`: (now − before) / |before|; `None` if `before` is 0 or the
    /// ratio is out of range.
    #[must_use]
    pub fn growth(before: i128, now: i128) -> Option<Self> {
        Self::of(now.checked_sub(before)?, before.checked_abs()?)
    }

    /// The amount per `parts` in a currency's own unit, from an amount in minor units; `None` if
    /// `parts` is 0 or the result is out of range.
    #[must_use]
    pub fn per(minor_units: i128, exponent: u8, parts: u128) -> Option<Self> {
        let parts = i128::try_from(parts).ok()?;
        Self::of(minor_units, parts.checked_mul(10i128.checked_pow(exponent.into())?)?)
    }

    /// The amount per million `parts` in a currency's own unit; see [`Ratio::per`].
    #[must_use]
    pub fn per_million(minor_units: i128, exponent: u8, parts: u128) -> Option<Self> {
        Self::per(minor_units.checked_mul(1_000_000)?, exponent, parts)
    }

    /// The ratio in ten-thousandths.
    #[must_use]
    pub const fn ten_thousandths(self) -> i128 {
        self.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_decimal(self.0, DECIMALS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(ratio: Option<Ratio>) -> Option<String> {
        ratio.map(|ratio| ratio.to_string())
    }

    #[test]
    fn growth_is_relative_to_the_size_of_the_past() {
        for (before, now, growth) in [
            (100, 150, Some("0.5000")),
            (100, 50, Some("-0.5000")),
            (-100, 50, Some("1.5000")),
            (-100, -150, Some("-0.5000")),
            (3, 4, Some("0.3333")),
            (3, 5, Some("0.6667")),
            (0, 5, None),
            (5, 5, Some("0.0000")),
        ] {
            assert_eq!(shown(Ratio::growth(before, now)).as_deref(), growth, "{before} to {now}");
        }
    }

    #[test]
    fn ties_go_to_the_even_digit() {
        for (numerator, ratio) in [(1, "0.0000"), (3, "0.0002"), (5, "0.0002"), (-1, "0.0000"), (-3, "-0.0002")] {
            assert_eq!(shown(Ratio::of(numerator, 20_000)).as_deref(), Some(ratio), "{numerator}");
        }
        assert_eq!(shown(Ratio::of(20_001, 20_000)).as_deref(), Some("1.0000"));
        assert_eq!(shown(Ratio::of(20_003, 20_000)).as_deref(), Some("1.0002"));
        assert_eq!(shown(Ratio::of(30_001, -20_000)).as_deref(), Some("-1.5000"));
    }

    #[test]
    fn an_average_is_in_the_unit_of_the_currency() {
        assert_eq!(shown(Ratio::per(1_000, 2, 3)).as_deref(), Some("3.3333"));
        assert_eq!(shown(Ratio::per(1_000, 0, 3)).as_deref(), Some("333.3333"));
        assert_eq!(Ratio::per(1, 2, 0), None);
    }

    #[test]
    fn an_amount_per_million_is_rounded_once_half_to_even() {
        for (minor_units, exponent, parts, shown) in [
            (1_234, 2, 5_000_000, "2.4680"),
            (1_234, 0, 5_000_000, "246.8000"),
            (1, 2, 3_000_000, "0.0033"),
            (-1, 2, 200_000_000, "0.0000"),
            (3, 2, 200_000_000, "0.0002"),
            (5, 2, 1, "50000.0000"),
        ] {
            let ratio = Ratio::per_million(minor_units, exponent, parts).map(|ratio| ratio.to_string());
            assert_eq!(ratio.as_deref(), Some(shown), "{minor_units} {exponent} {parts}");
        }
        assert_eq!(Ratio::per_million(1, 2, 0), None);
        assert_eq!(Ratio::per_million(i128::MAX, 2, 1), None);
    }

    proptest! {
        #[test]
        fn a_ratio_is_the_nearest_of_four_decimals(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (i128::from(a), i128::from(b));
            let ratio = Ratio::of(a, b);
            prop_assert_eq!(ratio.is_none(), b == 0);
            let Some(ratio) = ratio else { return Ok(()) };
            // |10⁴·a − ratio·b| ≤ |b| / 2, and on a tie the digit is even.
            let off = (a * 10_000 - ratio.ten_thousandths() * b).abs() * 2;
            prop_assert!(off < b.abs() || (off == b.abs() && ratio.ten_thousandths() % 2 == 0));
        }

        #[test]
        fn any_numbers_give_a_ratio_or_none(a in any::<i128>(), b in any::<i128>(), exponent in any::<u8>(), parts in any::<u128>()) {
            let _ = (Ratio::of(a, b), Ratio::growth(a, b), Ratio::per(a, exponent, parts), Ratio::per_million(a, exponent, parts));
        }
    }
}
