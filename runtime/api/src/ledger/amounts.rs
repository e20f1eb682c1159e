//! Amounts with their decimal text and number of decimal places.

use std::collections::BTreeMap;

use tidemill_api_types as shapes;
use tidemill_core::money::{Currencies, write_decimal};

use crate::problem::ApiResult;
use crate::state::ApiState;

/// The numbers of decimal places with which the entries of each currency were posted.
#[derive(Debug, Clone, Default)]
pub struct Amounts(BTreeMap<String, u8>);

impl Amounts {
    /// Reads the units of the ledger. What is read before has no other unit, because a unit is
    /// stored with its first entry.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of(state: &ApiState) -> ApiResult<Self> {
        let units = state.host.store().ledger_units().await?;
        Ok(Self(units.into_iter().map(|unit| (unit.code, unit.exponent)).collect()))
    }

    /// Returns the number of decimal places of a currency; `None` if neither the ledger nor ISO
    /// 4217 has it.
    #[must_use]
    pub fn exponent(&self, currency: &str) -> Option<u8> {
        let known = self.0.get(currency).copied();
        known.or_else(|| Currencies::default().get(currency).map(|currency| currency.exponent()))
    }

    /// Returns an amount for an answer.
    #[must_use]
    pub fn amount(&self, minor_units: i128, currency: &str) -> shapes::Amount {
        let exponent = self.exponent(currency).unwrap_or_default();
        let amount = write_decimal(minor_units, exponent);
        shapes::Amount { minor_units, amount, currency: currency.to_owned(), exponent }
    }
}
