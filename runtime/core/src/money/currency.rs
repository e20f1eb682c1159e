//! Currencies: those of ISO 4217, and units that the operator declares with their exponents.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decimal::{InvalidDecimal, parse_decimal, write_decimal};

/// A currency or a declared unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: Arc<str>,
    exponent: u8,
}

/// Maximum number of decimal places of a declared unit.
const EXPONENT_MAX: u8 = 18;

impl Currency {
    /// Its code, such as `EUR`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Number of decimal places of its minor unit: 2 for EUR, 0 for JPY.
    #[must_use]
    pub const fn exponent(&self) -> u8 {
        self.exponent
    }

    /// Writes a sum of minor units as decimal text in the currency's own unit, such as `19.99`. The
    /// sum may exceed the range of one amount.
    #[must_use]
    pub fn decimal(&self, minor_units: i128) -> String {
        write_decimal(minor_units, self.exponent)
    }

    /// Reads a decimal text, such as `19.99`, as minor units. Does not round.
    ///
    /// # Errors
    /// If the text has another form, is finer than the minor unit, or exceeds an `i64`.
    pub fn parse_decimal(&self, text: &str) -> Result<i64, InvalidDecimal> {
        parse_decimal(text, self.exponent)
    }

    /// Formats a sum of minor units in the currency's own unit, such as `19.99 EUR`.
    #[must_use]
    pub fn show(&self, minor_units: i128) -> String {
        format!("{} {}", self.decimal(minor_units), self.code)
    }
}

/// The currencies that a host knows.
#[derive(Debug, Clone, Default)]
pub struct Currencies {
    declared: BTreeMap<Arc<str>, Currency>,
}

/// The declaration of a unit is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDeclaration {
    /// The code is not valid.
    #[error("`{0}` cannot be a unit's code: 2 to 12 capital letters and digits, the first a letter")]
    Code(String),
    /// ISO 4217 defines the code.
    #[error("`{0}` is a currency of ISO 4217, which defines its decimal places")]
    Known(String),
    /// Too many decimal places.
    #[error("{exponent} decimal places for `{code}`; at most 18 are allowed")]
    Exponent {
        /// The unit.
        code: String,
        /// Its exponent.
        exponent: u8,
    },
}

impl Currencies {
    /// Returns ISO 4217 and the operator's own units: each a code and an exponent, such as `BTC`
    /// and 8.
    ///
    /// # Errors
    /// The first declaration that is not valid.
    pub fn with_declared<'a>(declared: impl IntoIterator<Item = (&'a str, u8)>) -> Result<Self, InvalidDeclaration> {
        let mut own = BTreeMap::new();
        for (code, exponent) in declared {
            let shape = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            if !(2..=12).contains(&code.len())
                || !code.bytes().all(shape)
                || !code.starts_with(|c: char| c.is_ascii_uppercase())
            {
                return Err(InvalidDeclaration::Code(crate::wire::json::shown(code)));
            }
            if iso_currency::Currency::from_code(code).is_some() {
                return Err(InvalidDeclaration::Known(code.to_owned()));
            }
            if exponent > EXPONENT_MAX {
                return Err(InvalidDeclaration::Exponent { code: code.to_owned(), exponent });
            }
            let code: Arc<str> = code.into();
            own.insert(code.clone(), Currency { code, exponent });
        }
        Ok(Self { declared: own })
    }

    /// The currency with that code. ISO codes without a minor unit, such as XAU for gold, are
    /// excluded: an operator declares such a unit under a code of its own.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<Currency> {
        if let Some(currency) = self.declared.get(code) {
            return Some(currency.clone());
        }
        if code.len() != 3 {
            return None;
        }
        let iso = iso_currency::Currency::from_code(code)?;
        Some(Currency { code: iso.code().into(), exponent: u8::try_from(iso.exponent()?).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exponents_are_those_of_iso_4217() {
        let exponent = |code| Currencies::default().get(code).map(|currency| currency.exponent());
        for (places, codes) in [
            (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
            (
                2,
                "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR MXN NOK NZD PLN RUB SEK SGD THB TRY TWD USD ZAR",
            ),
            (3, "BHD IQD JOD KWD LYD OMR TND"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(exponent(code), Some(places), "{code}");
            }
        }
        for none in ["", "eur", "€", "XAU", "XXX", "BTC", "EURO"] {
            assert_eq!(exponent(none), None, "{none}");
        }
    }

    #[test]
    fn an_operator_declares_further_units() {
        let own = Currencies::with_declared([("BTC", 8), ("POINTS", 0)]).unwrap();
        assert_eq!(own.get("BTC").unwrap().show(123_456_789), "1.23456789 BTC");
        assert_eq!(own.get("POINTS").unwrap().show(-7), "-7 POINTS");
        assert_eq!(own.get("EUR").unwrap().show(i128::from(i64::MAX) * 2), "184467440737095516.14 EUR");
        assert!(matches!(Currencies::with_declared([("EUR", 8)]), Err(InvalidDeclaration::Known(_))));
        assert!(matches!(Currencies::with_declared([("btc", 8)]), Err(InvalidDeclaration::Code(_))));
        assert!(matches!(Currencies::with_declared([("WEI", 19)]), Err(InvalidDeclaration::Exponent { .. })));
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_none(text in "\\PC{0,20}", exponent in any::<u8>()) {
            let _ = Currencies::default().get(&text);
            if let Ok(own) = Currencies::with_declared([(text.as_str(), exponent)]) {
                prop_assert_eq!(own.get(&text).unwrap().exponent(), exponent);
            }
        }
    }
}
