//! Commands about revenue.

pub mod ledger;
pub mod streams;

use tidemill_api_types::Total;
use tidemill_core::money::Currencies;
use tidemill_core::wire::grouped;

use crate::printer::Row;

/// Formats minor units of a currency for people.
pub fn amount(minor_units: i128, currency: &str) -> String {
    match Currencies::default().get(currency) {
        Some(currency) => currency.show(minor_units),
        // A unit that the host's operator declared: its decimal places are not known here, so show
        // the stored number.
        None => format!("{minor_units} minor units of {}", crate::printer::clean(currency)),
    }
}

impl Row for Total {
    const HEADS: &'static [&'static str] = &["CURRENCY", "NET REVENUE", "ENTRIES"];

    fn cells(&self) -> Vec<String> {
        let earned = amount(self.net_revenue, &self.currency);
        vec![self.currency.clone(), earned, grouped(self.entries)]
    }
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
