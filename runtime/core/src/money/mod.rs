//! Money in whole minor units of a currency, never as a float, and the meaning of a ledger entry.
//!
//! Defines what each kind of entry moves, and between which accounts. The store keeps and sums
//! entries.

mod account;
pub mod balance;
mod content;
mod currency;
mod decimal;
mod entry;
mod kind;
mod leg;
mod metadata;
#[cfg(feature = "host")]
pub mod report;
mod reservation;
mod rounding;
mod stream;

use std::fmt;

pub use account::{Account, AccountType};
pub use content::{ContentHash, EntryCall, EntryContent};
pub use currency::{Currencies, Currency, InvalidDeclaration};
pub use decimal::{DECIMAL_BYTES, InvalidDecimal, parse_decimal, write_decimal};
pub use entry::{
    CUSTOMER_BYTES, DESCRIPTION_BYTES, EXTERNAL_ID_BYTES, EntryDraft, HOST_SUFFIXES, InvalidEntry, METADATA_BYTES,
    Posting,
};
pub use kind::EntryKind;
pub use leg::{Leg, net_revenue};
pub use metadata::{EntryLinks, is_external_id};
pub use reservation::{Reservation, ReservationEvent, ReservationRefusal, ReservationState, ReservationStep};
pub use rounding::{Remainder, share, split, tax_included};
pub use stream::LedgerStream;

/// An amount in minor units of a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The amount in the currency's minor unit: 1999 is 19.99 EUR.
    pub minor_units: i64,
    /// The currency, which defines the minor unit.
    pub currency: Currency,
}

impl Money {
    /// The sum; `None` if the currencies differ or it overflows.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.with(other, i64::checked_add)
    }

    /// The difference; `None` if the currencies differ or it overflows.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.with(other, i64::checked_sub)
    }

    fn with(&self, other: &Self, op: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self { minor_units: op(self.minor_units, other.minor_units)?, currency: self.currency.clone() })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.currency.show(self.minor_units.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(minor_units: i64, code: &str) -> Money {
        Money { minor_units, currency: Currencies::default().get(code).unwrap() }
    }

    #[test]
    fn amounts_are_shown_in_the_currency_s_own_unit() {
        let shown = |units, code| money(units, code).to_string();
        assert_eq!(shown(1999, "EUR"), "19.99 EUR");
        assert_eq!(shown(-5, "USD"), "-0.05 USD");
        assert_eq!(shown(1999, "JPY"), "1999 JPY");
        assert_eq!(shown(1, "KWD"), "0.001 KWD");
        assert_eq!(shown(i64::MIN, "EUR"), "-92233720368547758.08 EUR");
    }

    proptest! {
        #[test]
        fn sums_are_exact_or_none(a in any::<i64>(), b in any::<i64>()) {
            let (x, y) = (money(a, "EUR"), money(b, "EUR"));
            prop_assert_eq!(x.checked_add(&y).map(|sum| sum.minor_units), a.checked_add(b));
            prop_assert_eq!(x.checked_sub(&y).map(|sum| sum.minor_units), a.checked_sub(b));
            prop_assert_eq!(x.checked_add(&money(b, "USD")), None);
        }
    }
}
