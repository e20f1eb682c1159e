//! Exchange rates that the operator gives, and the conversion of sums with one rounding.

use std::fmt;
use std::str::FromStr;

use crate::money::rounding::divide_half_even;
use crate::money::write_decimal;

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
        f.write_str(&write_decimal(self.digits.into(), self.decimals))
    }
}

impl ExchangeRate {
    /// Converts a sum in minor units of a currency with exponent `from` into minor units of a
    /// currency with exponent `to`. Rounds the exact product once, half to even; `None` if the
    /// product or the result is out of range. The product of one amount and a rate never is.
    #[must_use]
    pub fn convert(self, minor_units: i128, from: u8, to: u8) -> Option<i128> {
        let product = minor_units.checked_mul(self.digits.into())?;
        let shift = i32::from(to) - i32::from(from) - i32::from(self.decimals);
        let power = 10u128.checked_pow(shift.unsigned_abs())?;
        if shift < 0 { divide_half_even(product, power) } else { product.checked_mul(i128::try_from(power).ok()?) }
    }
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
        assert_eq!(rate("1").convert(i128::MIN, 0, 0), Some(i128::MIN));
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
