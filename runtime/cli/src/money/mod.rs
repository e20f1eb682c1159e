//! Commands about revenue.

pub mod ledger;
pub mod rates;
pub mod streams;

use tidemill_core::money::Currencies;

/// Formats minor units of a currency for people, if the host did not send them as text.
pub fn amount(minor_units: i128, currency: &str) -> String {
    match Currencies::default().get(currency) {
        Some(currency) => currency.show(minor_units),
        // A unit that the host's operator declared: its decimal places are not known here, so show
        // the stored number.
        None => format!("{minor_units} minor units of {}", crate::printer::clean(currency)),
    }
}

/// Shows an amount as the host sent it, with its currency.
pub fn shown(amount: &str, currency: &str) -> String {
    format!("{amount} {}", crate::printer::clean(currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_by_its_currency() {
        assert_eq!(amount(-1234, "EUR"), "-12.34 EUR");
        assert_eq!(amount(500, "JPY"), "500 JPY");
        assert_eq!(amount(5, "BTC"), "5 minor units of BTC");
    }
}
