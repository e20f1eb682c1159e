//! Amounts as decimal text in a currency's own unit: `19.99` is 1999 minor units of EUR. Reading
//! and writing is exact and never passes through a float.

use std::fmt::Write as _;

/// Maximum length of a decimal text, in bytes. The longest amount has 20 digits; the rest is room
/// for zeros.
pub const DECIMAL_BYTES: usize = 64;

/// A text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// Not a decimal number.
    #[error(
        "an amount is ASCII digits with at most one point between them, such as \"19.99\", after a `-` if it is negative: no plus, no grouping, no exponent, at most 64 bytes"
    )]
    Form,
    /// Digits beyond the minor unit that are not zero.
    #[error("an amount of this currency has at most {exponent} decimal places; further ones can only be zeros")]
    Finer {
        /// Number of decimal places of the currency.
        exponent: u8,
    },
    /// More than 64 bits of minor units.
    #[error("the amount exceeds 64 bits of minor units")]
    Range,
}

/// Reads a decimal text as minor units of a currency with `exponent` decimal places. Does not
/// round.
///
/// # Errors
/// If the text has another form, is finer than the minor unit, or exceeds an `i64`.
pub fn parse_decimal(text: &str, exponent: u8) -> Result<i64, InvalidDecimal> {
    if text.len() > DECIMAL_BYTES {
        return Err(InvalidDecimal::Form);
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(InvalidDecimal::Form),
        None => (digits, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidDecimal::Form);
    }
    let places = usize::from(exponent);
    let (fraction, beyond) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err(InvalidDecimal::Finer { exponent });
    }
    let zeros = std::iter::repeat_n(b'0', places - fraction.len());
    let mut minor_units: i64 = 0;
    for byte in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        // Accumulates with the sign of the number, so that the least `i64` can be read.
        let digit = i64::from(byte - b'0');
        let shifted = minor_units.checked_mul(10);
        let next = shifted.and_then(|n| if negative { n.checked_sub(digit) } else { n.checked_add(digit) });
        minor_units = next.ok_or(InvalidDecimal::Range)?;
    }
    Ok(minor_units)
}

/// Writes minor units of a currency with `exponent` decimal places as decimal text. A sum may
/// exceed the range of one amount.
#[must_use]
pub fn write_decimal(minor_units: i128, exponent: u8) -> String {
    let places = usize::from(exponent);
    let width = places + 1;
    let mut text = String::with_capacity(width + 4);
    if minor_units < 0 {
        text.push('-');
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "{:0width$}", minor_units.unsigned_abs());
    if places > 0 {
        text.insert(text.len() - places, '.');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        for (text, exponent, minor_units) in [
            ("19.99", 2, 1_999),
            ("-0.5", 2, -50),
            ("0.05", 2, 5),
            ("7", 0, 7),
            ("7", 3, 7_000),
            ("007.10", 2, 710),
            ("19.9900000", 2, 1_999),
            ("1999.000", 0, 1_999),
            ("-0", 2, 0),
            ("0.00000001", 8, 1),
            ("9007199254740993", 0, 9_007_199_254_740_993),
            ("92233720368547758.07", 2, i64::MAX),
            ("-92233720368547758.08", 2, i64::MIN),
            ("-9.223372036854775808", 18, i64::MIN),
        ] {
            assert_eq!(parse_decimal(text, exponent), Ok(minor_units), "{text}");
        }
    }

    #[test]
    fn a_decimal_of_another_form_is_refused() {
        let form = Err(InvalidDecimal::Form);
        for text in [
            "",
            "-",
            ".",
            "-.",
            ".5",
            "5.",
            "1e3",
            "1E3",
            "1,00",
            "1,000.00",
            "1.000.00",
            "1 000",
            "1_000",
            "1'000",
            " 1",
            "1 ",
            "+1",
            "--1",
            "-+1",
            "1-",
            "0x1",
            "NaN",
            "inf",
            "١٩",
            "１９",
            "−1",
            "1\u{a0}000",
            "€1",
            "1\n",
            "1\0",
        ] {
            assert_eq!(parse_decimal(text, 2), form, "{text:?}");
        }
        assert_eq!(parse_decimal(&"0".repeat(65), 2), form);
        assert_eq!(parse_decimal("19.999", 2), Err(InvalidDecimal::Finer { exponent: 2 }));
        assert_eq!(parse_decimal("0.1", 0), Err(InvalidDecimal::Finer { exponent: 0 }));
        for text in ["92233720368547758.08", "-92233720368547758.09", "9223372036854775808", &"9".repeat(64)] {
            assert_eq!(parse_decimal(text, 2), Err(InvalidDecimal::Range), "{text}");
        }
    }

    #[test]
    fn sums_beyond_one_amount_are_written() {
        assert_eq!(write_decimal(i128::from(i64::MAX) * 2, 2), "184467440737095516.14");
        assert_eq!(write_decimal(i128::MIN, 0), "-170141183460469231731687303715884105728");
        assert_eq!(write_decimal(-5, 2), "-0.05");
        assert_eq!(write_decimal(0, 3), "0.000");
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_text(minor_units: i64, exponent in 0u8..=18) {
            prop_assert_eq!(parse_decimal(&write_decimal(minor_units.into(), exponent), exponent), Ok(minor_units));
        }

        #[test]
        fn any_text_is_an_amount_or_refused(text in "[-+0-9.,e ]{0,70}|\\PC{0,40}", exponent: u8) {
            if let Ok(minor_units) = parse_decimal(&text, exponent) {
                let written = write_decimal(minor_units.into(), exponent);
                // A text with an exponent that no currency has may be too long to be read.
                let read = parse_decimal(&written, exponent);
                prop_assert!(read == Ok(minor_units) || written.len() > DECIMAL_BYTES, "{read:?}");
            }
        }
    }
}
