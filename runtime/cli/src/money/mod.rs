//! Commands about what was earned.

pub mod ledger;
pub mod streams;

use serde::{Deserialize, Serialize};
use tidemill_core::money::Currencies;

use crate::printer::Row;

/// Minor units of a currency, as people write them.
pub fn amount(minor_units: i128, currency: &str) -> String {
    match Currencies::default().get(currency) {
        Some(currency) => currency.show(minor_units),
        // Declared by the host's operator: as it is stored, rather than wrongly.
        None => format!("{minor_units} minor units of {}", crate::printer::clean(currency)),
    }
}

/// What was earned in one currency.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Total {
    /// The currency.
    pub currency: String,
    /// In minor units.
    pub net_revenue: i128,
    /// How many entries.
    pub entries: u64,
}

impl Row for Total {
    const HEADS: &'static [&'static str] = &["CURRENCY", "NET REVENUE", "ENTRIES"];

    fn cells(&self) -> Vec<String> {
        let earned = amount(self.net_revenue, &self.currency);
        vec![self.currency.clone(), earned, crate::wire::grouped(self.entries)]
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
