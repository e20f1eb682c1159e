//! Amounts of money, and prices finer than a currency's minor unit. Does not use floats. Does not
//! know the ledger.

mod rounding;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum length of a decimal text, in bytes.
const DECIMAL_BYTES: usize = 64;

/// An amount in a currency's minor unit: 1999 `EUR` is 19.99 euros.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount in the currency's minor unit.
    pub minor_units: i64,
    /// An ISO 4217 code, such as `EUR`, or a unit that the operator declared with its exponent,
    /// such as `BTC`.
    pub currency: String,
}

impl Money {
    /// Creates an amount from minor units: `Money::minor(1999, "EUR")` is 19.99 euros.
    pub fn minor(minor_units: i64, currency: impl Into<String>) -> Self {
        Self { minor_units, currency: currency.into() }
    }

    /// Parses `19.99` as an amount in a currency whose minor unit is 10⁻ᵉˣᵖᵒⁿᵉⁿᵗ of the major unit
    /// (2 for EUR, 0 for JPY, 8 for BTC). The text is ASCII digits with at most one point between
    /// them, after a `-` if the amount is negative. Digits beyond the exponent must be zeros: it
    /// does not round. It returns `None` for any other text and for more than an `i64`.
    pub fn from_decimal(text: &str, currency: impl Into<String>, exponent: u8) -> Option<Self> {
        if text.len() > DECIMAL_BYTES {
            return None;
        }
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let places = usize::from(exponent);
        let (fraction, beyond) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
        if beyond.bytes().any(|byte| byte != b'0') {
            return None;
        }
        let zeros = std::iter::repeat_n(b'0', places - fraction.len());
        let mut minor_units: i64 = 0;
        for byte in whole.bytes().chain(fraction.bytes()).chain(zeros) {
            // Accumulates with the sign of the number, so that the minimum `i64` can be parsed.
            let digit = i64::from(byte - b'0');
            minor_units = minor_units.checked_mul(10)?;
            minor_units = if negative { minor_units.checked_sub(digit)? } else { minor_units.checked_add(digit)? };
        }
        Some(Self::minor(minor_units, currency))
    }

    /// Formats the amount as `19.99`, with `exponent` digits after the point.
    #[must_use]
    pub fn to_decimal(&self, exponent: u8) -> String {
        let width = usize::from(exponent) + 1;
        let digits = format!("{:0width$}", self.minor_units.unsigned_abs());
        let sign = if self.minor_units < 0 { "-" } else { "" };
        match digits.split_at_checked(digits.len() - usize::from(exponent)) {
            Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
            _ => format!("{sign}{digits}"),
        }
    }

    /// Returns the sum, or `None` if the currencies differ or the sum overflows.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let same = self.currency == other.currency;
        let sum = self.minor_units.checked_add(other.minor_units).filter(|_| same)?;
        Some(self.with(sum))
    }

    /// Returns the difference, or `None` if the currencies differ or it overflows.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        let same = self.currency == other.currency;
        let difference = self.minor_units.checked_sub(other.minor_units).filter(|_| same)?;
        Some(self.with(difference))
    }

    /// Returns `ppm` millionths of the amount, rounded half to even from the exact product. Round
    /// once, at the line that is posted. `None` if the result exceeds an `i64`, which needs more
    /// than a million.
    ///
    /// ```
    /// use tidemill_sdk::Money;
    /// // A fee of 2.9 %.
    /// assert_eq!(Money::minor(1_950, "EUR").share(29_000), Some(Money::minor(57, "EUR")));
    /// ```
    #[must_use]
    pub fn share(&self, ppm: u32) -> Option<Self> {
        rounding::share(self.minor_units, ppm).map(|minor_units| self.with(minor_units))
    }

    /// Splits the amount in proportion to `weights`. The parts always sum to the amount: what
    /// rounding down leaves goes to the parts with the largest remainders, the first of equal ones.
    /// A negative amount is split as the positive one. `None` if no weight is above zero.
    ///
    /// ```
    /// use tidemill_sdk::Money;
    /// let parts = Money::minor(100, "EUR").split(&[1, 1, 1]).unwrap();
    /// assert_eq!(parts.iter().map(|part| part.minor_units).collect::<Vec<_>>(), [34, 33, 33]);
    /// ```
    #[must_use]
    pub fn split(&self, weights: &[u64]) -> Option<Vec<Self>> {
        let parts = rounding::split(self.minor_units, weights)?;
        Some(parts.into_iter().map(|minor_units| self.with(minor_units)).collect())
    }

    /// Returns the net amount and the tax that an amount with tax consists of, at a rate in
    /// millionths. The net is rounded half to even; the tax is the rest.
    ///
    /// ```
    /// use tidemill_sdk::Money;
    /// let (net, tax) = Money::minor(1_999, "EUR").tax_included(190_000);
    /// assert_eq!((net.minor_units, tax.minor_units), (1_680, 319));
    /// ```
    #[must_use]
    pub fn tax_included(&self, rate_ppm: u32) -> (Self, Self) {
        let (net, tax) = rounding::tax_included(self.minor_units, rate_ppm);
        (self.with(net), self.with(tax))
    }

    fn with(&self, minor_units: i64) -> Self {
        Self::minor(minor_units, self.currency.clone())
    }
}

impl fmt::Display for Money {
    /// Formats in minor units, because only the ledger knows the exponents of all currencies:
    /// `1999 minor units of EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor units of {}", self.minor_units, self.currency)
    }
}

/// Adds prices that are finer than the minor unit, so that a million calls at 0.0004 lose nothing.
///
/// It receives prices in a finer unit, returns whole minor units, and carries the rest. Store it in
/// `state` in the same transaction as its postings, so that both take effect together.
///
/// ```
/// use tidemill_sdk::Remainder;
/// // Millionths of a dollar: 10,000 to the cent.
/// let mut remainder = Remainder::new(10_000);
/// let cents: i64 = (0..1_000_000).filter_map(|_| remainder.add(400)).sum();
/// assert_eq!((cents, remainder.carried()), (40_000, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Remainder {
    per_minor_unit: u32,
    carried: u32,
}

impl Remainder {
    /// Creates an empty remainder. `per_minor_unit` finer units are one minor unit. 0 counts as 1.
    #[must_use]
    pub const fn new(per_minor_unit: u32) -> Self {
        Self { per_minor_unit: if per_minor_unit == 0 { 1 } else { per_minor_unit }, carried: 0 }
    }

    /// Adds a price in the finer unit and returns the whole minor units. The carried rest stays
    /// between 0 and one minor unit, also for a negative price. Returns `None` and adds nothing if
    /// a value does not fit in an `i64`.
    pub fn add(&mut self, price: i128) -> Option<i64> {
        let per_minor_unit = i128::from(self.per_minor_unit);
        let total = price.checked_add(i128::from(self.carried))?;
        let whole = i64::try_from(total.div_euclid(per_minor_unit)).ok()?;
        self.carried = u32::try_from(total.rem_euclid(per_minor_unit)).ok()?;
        Some(whole)
    }

    /// Returns the carried rest in the finer unit: less than one minor unit.
    #[must_use]
    pub const fn carried(&self) -> u32 {
        self.carried
    }

    /// Returns the number of finer units per minor unit.
    #[must_use]
    pub const fn per_minor_unit(&self) -> u32 {
        self.per_minor_unit
    }
}

/// The serialized form of a remainder. Deserialization validates it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    per_minor_unit: u32,
    carried: u32,
}

impl TryFrom<Parts> for Remainder {
    type Error = &'static str;
    fn try_from(Parts { per_minor_unit, carried }: Parts) -> Result<Self, Self::Error> {
        if carried < per_minor_unit {
            Ok(Self { per_minor_unit, carried })
        } else {
            Err("a remainder carries less than one minor unit")
        }
    }
}

impl From<Remainder> for Parts {
    fn from(Remainder { per_minor_unit, carried }: Remainder) -> Self {
        Self { per_minor_unit, carried }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        let read = |text, exponent| Money::from_decimal(text, "XXX", exponent).map(|money| money.minor_units);
        assert_eq!(read("19.99", 2), Some(1999));
        assert_eq!(read("-0.5", 2), Some(-50));
        assert_eq!(read("19.9900", 2), Some(1999));
        assert_eq!(read("7", 0), Some(7));
        assert_eq!(read("0.00000001", 8), Some(1));
        assert_eq!(read("-9223372036854775808", 0), Some(i64::MIN));
        for refused in ["19.999", "", "-", ".5", "5.", "1e3", "1,00", " 1", "--1", "+1", "١", "92233720368547758.08"] {
            assert_eq!(read(refused, 2), None, "{refused}");
        }
    }

    #[test]
    fn sums_stay_in_one_currency() {
        let (euro, dollar) = (Money::minor(1, "EUR"), Money::minor(1, "USD"));
        assert_eq!(euro.checked_add(&euro), Some(Money::minor(2, "EUR")));
        assert_eq!(euro.checked_add(&dollar), None);
        assert_eq!(Money::minor(i64::MAX, "EUR").checked_add(&euro), None);
    }

    #[test]
    fn a_remainder_that_carries_too_much_is_not_read() {
        let read = serde_json::from_str::<Remainder>;
        assert!(read(r#"{"per_minor_unit":10,"carried":9}"#).is_ok());
        assert!(read(r#"{"per_minor_unit":10,"carried":10}"#).is_err());
        assert!(read(r#"{"per_minor_unit":0,"carried":0}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_decimal(minor_units: i64, exponent in 0u8..30) {
            let money = Money::minor(minor_units, "EUR");
            prop_assert_eq!(Money::from_decimal(&money.to_decimal(exponent), "EUR", exponent), Some(money));
        }

        #[test]
        fn no_text_panics_the_parser(text: String, exponent: u8) {
            let _ = Money::from_decimal(&text, "EUR", exponent);
        }

        #[test]
        fn a_remainder_loses_nothing(prices in prop::collection::vec(-1_000_000i64..1_000_000, 0..200), per in 1u32..20_000) {
            let mut remainder = Remainder::new(per);
            let mut whole = 0i128;
            for &price in &prices {
                whole += i128::from(remainder.add(i128::from(price)).unwrap());
                prop_assert!(remainder.carried() < per);
            }
            let total: i128 = prices.iter().copied().map(i128::from).sum();
            prop_assert_eq!(whole * i128::from(per) + i128::from(remainder.carried()), total);
            let text = serde_json::to_string(&remainder).unwrap();
            prop_assert_eq!(serde_json::from_str::<Remainder>(&text).unwrap(), remainder);
        }
    }
}
