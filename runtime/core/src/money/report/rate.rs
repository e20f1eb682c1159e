//! Exchange rates that the operator gives, and the conversion of sums with one rounding.

use std::fmt;
use std::str::FromStr;

/// An exchange rate above 0, as a decimal number with at most [`RATE_DIGITS`] digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExchangeRate {
    digits: u64,
    decimals: u8,
}

/// Maximum number of digits of a rate, before and after the point together.
pub const RATE_DIGITS: usize = 18;

/// A text that is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a rate: 1 to 18 ASCII digits around at most one point, above zero, such as `1.0834`")]
pub struct InvalidRate;

impl FromStr for ExchangeRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(InvalidRate),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = whole.len() + decimals.len();
        let bytes = || whole.bytes().chain(decimals.bytes());
        if whole.is_empty() || digits > RATE_DIGITS || !bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidRate);
        }
        let value = bytes().fold(0u64, |value, byte| value * 10 + u64::from(byte - b'0'));
        let decimals = u8::try_from(decimals.len()).map_err(|_| InvalidRate)?;
        if value == 0 { Err(InvalidRate) } else { Ok(Self { digits: value, decimals }) }
    }
}

impl fmt::Display for ExchangeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, places) = (10u64.pow(self.decimals.into()), usize::from(self.decimals));
        if places == 0 {
            return write!(f, "{}", self.digits);
        }
        write!(f, "{}.{:0places$}", self.digits / unit, self.digits % unit)
    }
}

impl ExchangeRate {
    /// Converts a sum in minor units of a currency with exponent `from` into minor units of a
    /// currency with exponent `to`. Rounds the exact product once, half to even; `None` if it is
    /// out of range.
    #[must_use]
    pub fn convert(self, minor_units: i128, from: u8, to: u8) -> Option<i128> {
        let product = multiply(minor_units.unsigned_abs(), self.digits);
        let shift = i32::from(to) - i32::from(from) - i32::from(self.decimals);
        let size =
            if shift < 0 { shift_down(product, shift.unsigned_abs()) } else { shift_up(product, shift.unsigned_abs()) };
        let size = i128::try_from(size?).ok()?;
        Some(if minor_units < 0 { -size } else { size })
    }
}

/// 192 bits, the lowest first.
type Limbs = [u64; 3];

const LIMB: u32 = u64::BITS;

/// Splits 128 bits into their upper and lower half.
fn halves(value: u128) -> (u64, u64) {
    let upper = u64::try_from(value >> LIMB).unwrap_or(u64::MAX);
    let lower = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    (upper, lower)
}

fn multiply(value: u128, factor: u64) -> Limbs {
    let (upper, lower) = halves(value);
    let (carry, low) = halves(u128::from(lower) * u128::from(factor));
    let (high, middle) = halves(u128::from(upper) * u128::from(factor) + u128::from(carry));
    [low, middle, high]
}

/// Divides by a small number; returns the rest.
fn divide(limbs: &mut Limbs, divisor: u64) -> u64 {
    let mut rest = 0u64;
    for limb in limbs.iter_mut().rev() {
        let value = (u128::from(rest) << LIMB) | u128::from(*limb);
        *limb = halves(value / u128::from(divisor)).1;
        rest = halves(value % u128::from(divisor)).1;
    }
    rest
}

/// Divides by a power of ten, rounding half to even.
fn shift_down(mut limbs: Limbs, digits: u32) -> Option<u128> {
    let (mut last, mut more) = (0, false);
    for _ in 0..digits {
        more |= last != 0;
        last = divide(&mut limbs, 10);
    }
    let value = to_u128(limbs)?;
    let up = last > 5 || (last == 5 && (more || value % 2 == 1));
    value.checked_add(up.into())
}

fn shift_up(limbs: Limbs, digits: u32) -> Option<u128> {
    to_u128(limbs)?.checked_mul(10u128.checked_pow(digits)?)
}

fn to_u128([low, middle, high]: Limbs) -> Option<u128> {
    (high == 0).then_some((u128::from(middle) << LIMB) | u128::from(low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> ExchangeRate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_is_a_plain_decimal_above_zero() {
        for text in ["1", "0.5", "1.0834", "160.25", "0.00000000000000001", "999999999999999999"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for text in
            ["", ".", "1.", ".5", "0", "0.00", "-1", "+1", "1e3", "1,5", "1 000", "١", "1.2.3", "1234567890123456789"]
        {
            assert_eq!(text.parse::<ExchangeRate>(), Err(InvalidRate), "{text}");
        }
    }

    #[test]
    fn a_conversion_rounds_once_and_half_to_even() {
        for (sum, from, to, text, expected) in [
            (10_000, 2, 2, "1.0834", 10_834),
            (1, 2, 2, "0.5", 0),
            (3, 2, 2, "0.5", 2),
            (-3, 2, 2, "0.5", -2),
            (5, 2, 2, "0.5", 2),
            (1_999, 2, 0, "160.25", 3_203),
            (3_203, 0, 2, "0.00624", 1_999),
            (123_456_789, 8, 2, "60000", 7_407_407),
            (1, 0, 3, "1", 1_000),
        ] {
            assert_eq!(rate(text).convert(sum, from, to), Some(expected), "{sum} at {text}");
        }
        assert_eq!(rate("999999999999999999").convert(i128::MAX, 0, 18), None);
        assert_eq!(rate("1").convert(i128::MIN, 0, 0), None);
    }

    proptest! {
        #[test]
        fn a_conversion_is_the_nearest_integer(
            sum in -1_000_000_000_000i64..1_000_000_000_000, digits in 1u64..1_000_000_000_000, decimals in 0u8..12, from in 0u8..4, to in 0u8..4,
        ) {
            let converted = ExchangeRate { digits, decimals }.convert(sum.into(), from, to).unwrap();
            let up = 10i128.pow(to.into());
            let down = 10i128.pow(u32::from(from) + u32::from(decimals));
            let off = (i128::from(sum) * i128::from(digits) * up - converted * down).abs() * 2;
            prop_assert!(off < down || (off == down && converted % 2 == 0) );
        }

        #[test]
        fn a_rate_reads_back_as_it_is_shown(digits in 1u64..1_000_000_000_000_000_000, decimals in 0u8..18) {
            let rate = ExchangeRate { digits, decimals };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn any_sum_is_converted_or_out_of_range(sum in any::<i128>(), digits in 1u64..=u64::MAX, decimals in 0u8..18, from in any::<u8>(), to in any::<u8>()) {
            let _ = ExchangeRate { digits, decimals }.convert(sum, from, to);
        }

        #[test]
        fn any_text_is_a_rate_or_refused(text in "\\PC{0,24}") {
            let _ = text.parse::<ExchangeRate>();
        }
    }
}
