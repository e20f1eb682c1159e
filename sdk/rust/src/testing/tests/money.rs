//! The rounding of a module is that of the host.

use crate::{Money, Remainder};
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
    #[test]
    fn a_remainder_carries_what_that_of_a_host_does(prices in prop::collection::vec(any::<i64>(), 0..50), per: u32) {
        let (mut ours, mut theirs) = (Remainder::new(per), money::Remainder::new(per));
        for price in prices {
            prop_assert_eq!(ours.add(price.into()), theirs.add(price.into()));
            prop_assert_eq!((ours.carried(), ours.per_minor_unit()), (theirs.carried(), theirs.per_minor_unit()));
        }
    }
}
