//! The rounding of shares, splits and tax: the functions of the host's own rules (module `money` of
//! `runtime/core`), with the same table of tests. A component does not contain those.

/// One whole, in millionths.
const WHOLE_PPM: u32 = 1_000_000;

/// Returns `numerator / denominator`, rounded half to even. A negative numerator gives the negation
/// of the positive one.
fn divide_half_even(numerator: i128, denominator: u128) -> Option<i128> {
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
pub(super) fn share(minor_units: i64, ppm: u32) -> Option<i64> {
    let product = i128::from(minor_units) * i128::from(ppm);
    i64::try_from(divide_half_even(product, WHOLE_PPM.into())?).ok()
}

/// Splits an amount in proportion to `weights`. Each part is rounded down; what is left goes, one
/// minor unit each, to the parts with the largest remainders, the first of equal ones. The parts
/// sum to the amount. A negative amount is split as the positive one. `None` if no weight is above
/// zero.
pub(super) fn split(minor_units: i64, weights: &[u64]) -> Option<Vec<i64>> {
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
pub(super) fn tax_included(minor_units: i64, rate_ppm: u32) -> (i64, i64) {
    let whole = u128::from(WHOLE_PPM) + u128::from(rate_ppm);
    let net = divide_half_even(i128::from(minor_units) * i128::from(WHOLE_PPM), whole);
    // The net is between zero and the amount, so both conversions succeed.
    let net = net.and_then(|net| i64::try_from(net).ok()).unwrap_or(minor_units);
    (net, minor_units.wrapping_sub(net))
}

#[cfg(test)]
mod tests {
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
}
