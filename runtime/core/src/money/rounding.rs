//! The only places at which an amount is rounded: shares, splits, tax, and prices that are finer
//! than a minor unit. Each is exact up to its one rounding. The SDK has the same functions.

/// One whole, in millionths.
const WHOLE_PPM: u32 = 1_000_000;

/// Returns `numerator / denominator`, rounded half to even. A negative numerator gives the negation
/// of the positive one. `None` if `denominator` is 0 or the result is out of range.
pub(super) fn divide_half_even(numerator: i128, denominator: u128) -> Option<i128> {
    let magnitude = numerator.unsigned_abs();
    let (quotient, rest) = (magnitude.checked_div(denominator)?, magnitude.checked_rem(denominator)?);
    let up = match rest.cmp(&(denominator - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
    };
    let rounded = i128::try_from(quotient + u128::from(up)).ok()?;
    Some(if numerator < 0 { -rounded } else { rounded })
}

/// Returns `ppm` millionths of an amount, rounded half to even from the exact product: 29,000 of
/// 1,950 is 56.55, so 57. `None` if the result exceeds an `i64`, which needs more than a million.
#[must_use]
pub fn share(minor_units: i64, ppm: u32) -> Option<i64> {
    let product = i128::from(minor_units) * i128::from(ppm);
    i64::try_from(divide_half_even(product, WHOLE_PPM.into())?).ok()
}

/// Splits an amount in proportion to `weights`. Each part is rounded down; what is left goes, one
/// minor unit each, to the parts with the largest remainders, the first of equal ones. The parts
/// sum to the amount. A negative amount is split as the positive one. `None` if no weight is above
/// zero.
#[must_use]
pub fn split(minor_units: i64, weights: &[u64]) -> Option<Vec<i64>> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let magnitude = u128::from(minor_units.unsigned_abs());
    let product = |weight: &u64| magnitude * u128::from(*weight);
    let mut parts = Vec::with_capacity(weights.len());
    for weight in weights {
        parts.push(product(weight).checked_div(total)?);
    }
    if total == 0 {
        return None;
    }
    let left = magnitude - parts.iter().sum::<u128>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // Stable, so that the first of equal remainders comes first.
    order.sort_by_key(|at| std::cmp::Reverse(weights.get(*at).map_or(0, product) % total));
    for at in order.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
        }
    }
    let signed = |part: u128| {
        let part = i128::try_from(part).ok()?;
        i64::try_from(if minor_units < 0 { -part } else { part }).ok()
    };
    parts.into_iter().map(signed).collect()
}

/// Returns the net amount and the tax that an amount with tax consists of, at a rate in millionths:
/// 1,190 at 190,000 is 1,000 and 190. The net is rounded half to even; the tax is the rest.
#[must_use]
pub fn tax_included(minor_units: i64, rate_ppm: u32) -> (i64, i64) {
    let whole = u128::from(WHOLE_PPM) + u128::from(rate_ppm);
    let net = divide_half_even(i128::from(minor_units) * i128::from(WHOLE_PPM), whole);
    // The net is between zero and the amount, so both conversions succeed.
    let net = net.and_then(|net| i64::try_from(net).ok()).unwrap_or(minor_units);
    (net, minor_units.wrapping_sub(net))
}

/// Sums prices in a unit finer than the minor unit. It returns whole minor units and carries the
/// rest, so that a million calls at 0.0004 lose nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remainder {
    per_minor_unit: u32,
    carried: u32,
}

impl Remainder {
    /// Returns an empty remainder. `per_minor_unit` finer units are one minor unit. 0 counts as 1.
    #[must_use]
    pub const fn new(per_minor_unit: u32) -> Self {
        Self { per_minor_unit: if per_minor_unit == 0 { 1 } else { per_minor_unit }, carried: 0 }
    }

    /// Adds a price in the finer unit and returns the whole minor units. The carried rest stays
    /// between zero and one minor unit, also for a negative price. `None` if a value exceeds an
    /// `i64`; then nothing is added.
    pub fn add(&mut self, price: i128) -> Option<i64> {
        let per_minor_unit = i128::from(self.per_minor_unit);
        let total = price.checked_add(i128::from(self.carried))?;
        let whole = i64::try_from(total.div_euclid(per_minor_unit)).ok()?;
        self.carried = u32::try_from(total.rem_euclid(per_minor_unit)).ok()?;
        Some(whole)
    }

    /// The carried rest in the finer unit: less than one minor unit.
    #[must_use]
    pub const fn carried(&self) -> u32 {
        self.carried
    }

    /// The number of finer units in one minor unit.
    #[must_use]
    pub const fn per_minor_unit(&self) -> u32 {
        self.per_minor_unit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_rounded_half_to_even() {
        for (amount, ppm, expected) in [
            (1_950, 29_000, Some(57)),
            (100, 5_000, Some(0)),
            (100, 15_000, Some(2)),
            (100, 25_000, Some(2)),
            (300, 5_000, Some(2)),
            (-100, 15_000, Some(-2)),
            (-100, 25_000, Some(-2)),
            (100, 25_001, Some(3)),
            (i64::MIN, 1_000_000, Some(i64::MIN)),
            (i64::MAX, 1_000_000, Some(i64::MAX)),
            (i64::MAX, 1_000_001, None),
            (7, 0, Some(0)),
        ] {
            assert_eq!(share(amount, ppm), expected, "{amount} × {ppm}");
        }
    }

    #[test]
    fn a_split_gives_the_rest_to_the_largest_remainders() {
        for (amount, weights, expected) in [
            (100, &[1, 1, 1][..], Some(vec![34, 33, 33])),
            (-100, &[1, 1, 1], Some(vec![-34, -33, -33])),
            (5, &[1, 1], Some(vec![3, 2])),
            (10, &[50, 33, 17], Some(vec![5, 3, 2])),
            (10, &[17, 33, 50], Some(vec![2, 3, 5])),
            (1, &[0, 0, 1], Some(vec![0, 0, 1])),
            (i64::MIN, &[u64::MAX], Some(vec![i64::MIN])),
            (i64::MIN, &[u64::MAX, u64::MAX], Some(vec![i64::MIN / 2, i64::MIN / 2])),
            (0, &[3, 4], Some(vec![0, 0])),
            (1, &[], None),
            (1, &[0, 0], None),
        ] {
            assert_eq!(split(amount, weights), expected, "{amount} by {weights:?}");
        }
    }

    #[test]
    fn included_tax_is_what_the_rounded_net_leaves() {
        for (amount, rate, expected) in [
            (1_190, 190_000, (1_000, 190)),
            (1_999, 190_000, (1_680, 319)),
            (-1_999, 190_000, (-1_680, -319)),
            // 100 / 1.005 is 99.50…, and 1 / 2 is exactly a half.
            (100, 5_000, (100, 0)),
            (1, 1_000_000, (0, 1)),
            (3, 1_000_000, (2, 1)),
            (100, 0, (100, 0)),
            (i64::MIN, 0, (i64::MIN, 0)),
            (i64::MAX, u32::MAX, (2_146_983_764_887_990, 9_221_225_053_089_887_817)),
        ] {
            assert_eq!(tax_included(amount, rate), expected, "{amount} at {rate}");
        }
    }

    proptest! {
        #[test]
        fn a_share_is_within_half_a_unit_of_the_exact_product(amount: i64, ppm in 0..=WHOLE_PPM) {
            let exact = i128::from(amount) * i128::from(ppm);
            let rounded = share(amount, ppm).unwrap();
            let error = i128::from(rounded) * 1_000_000 - exact;
            prop_assert!(error.abs() <= 500_000);
            prop_assert!(error.abs() < 500_000 || rounded % 2 == 0);
            if let Some(opposite) = amount.checked_neg() {
                prop_assert_eq!(share(opposite, ppm), Some(-rounded));
            }
        }

        #[test]
        fn parts_sum_to_the_whole_and_a_negative_amount_is_split_as_a_positive(
            amount: i64, weights in prop::collection::vec(prop_oneof![0u64..4, any::<u64>()], 0..20)
        ) {
            let Some(parts) = split(amount, &weights) else {
                prop_assert!(weights.iter().all(|weight| *weight == 0));
                return Ok(());
            };
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(amount));
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                // Less than one unit from the exact part, in either direction.
                let exact = u128::from(amount.unsigned_abs()) * u128::from(*weight);
                let floor = exact / total;
                let size = u128::from(part.unsigned_abs());
                prop_assert!(size == floor || (size == floor + 1 && exact % total != 0));
                prop_assert!(*part == 0 || (*part < 0) == (amount < 0));
            }
            if let Some(opposite) = amount.checked_neg() {
                let opposites: Vec<i64> = parts.iter().map(|part| -part).collect();
                prop_assert_eq!(split(opposite, &weights), Some(opposites));
            }
        }

        #[test]
        fn net_and_tax_sum_to_the_amount(amount: i64, rate in prop_oneof![0u32..2_000_000, any::<u32>()]) {
            let (net, tax) = tax_included(amount, rate);
            prop_assert_eq!(i128::from(net) + i128::from(tax), i128::from(amount));
            let error = i128::from(net) * (1_000_000 + i128::from(rate)) - i128::from(amount) * 1_000_000;
            let half = (1_000_000 + i128::from(rate)) as u128;
            prop_assert!(error.unsigned_abs() * 2 <= half);
            prop_assert!(error.unsigned_abs() * 2 < half || net % 2 == 0);
            if let Some(opposite) = amount.checked_neg() {
                prop_assert_eq!(tax_included(opposite, rate), (-net, -tax));
            }
        }

        #[test]
        fn a_remainder_loses_nothing(prices in prop::collection::vec(-1_000_000i64..1_000_000, 0..200), per in 1u32..20_000) {
            let mut remainder = Remainder::new(per);
            let mut whole = 0i128;
            for &price in &prices {
                whole += i128::from(remainder.add(price.into()).unwrap());
                prop_assert!(remainder.carried() < remainder.per_minor_unit());
            }
            let total: i128 = prices.iter().copied().map(i128::from).sum();
            prop_assert_eq!(whole * i128::from(per) + i128::from(remainder.carried()), total);
        }
    }
}
