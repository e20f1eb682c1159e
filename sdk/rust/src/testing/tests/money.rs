//! The rounding of a module is that of the host.

use crate::Money;
use proptest::prelude::*;
use tidemill_core::money;

proptest! {
    #[test]
    fn amounts_are_rounded_as_on_a_host(
        amount: i64, ppm: u32, weights in prop::collection::vec(0u64..1_000, 0..9), text in "[-+0-9.]{0,12}", exponent in 0u8..=18
    ) {
        let euro = Money::minor(amount, "EUR");
        let units = |money: Money| money.minor_units;
        prop_assert_eq!(euro.share(ppm).map(units), money::share(amount, ppm));
        let parts = euro.split(&weights).map(|parts| parts.into_iter().map(units).collect::<Vec<_>>());
        prop_assert_eq!(parts, money::split(amount, &weights));
        let (net, tax) = euro.tax_included(ppm);
        prop_assert_eq!((net.minor_units, tax.minor_units), money::tax_included(amount, ppm));
        let parsed = Money::from_decimal(&text, "EUR", exponent).map(units);
        prop_assert_eq!(parsed, money::parse_decimal(&text, exponent).ok());
        prop_assert_eq!(euro.to_decimal(exponent), money::write_decimal(amount.into(), exponent));
    }
}
