//! Compares the units of the ledger with those that the host knows, before anything is served.
//!
//! Amounts are stored in minor units. Another number of decimal places, by a declaration of the
//! operator or by a new edition of ISO 4217, would move the point in every stored amount.

use tidemill_core::Code;
use tidemill_core::money::Currencies;
use tidemill_store::Store;
use tidemill_store::records::UnitConflict;

use crate::error::ControlError;

/// Refuses a start whose units differ from those of the ledger.
pub(crate) async fn check(store: &dyn Store, currencies: Currencies) -> Result<(), ControlError> {
    let conflicts = store.compare_units(currencies).await?;
    match conflicts.first() {
        None => Ok(()),
        Some(first) => Err(ControlError::refused(Code::UnitChanged, described(first, conflicts.len() - 1))),
    }
}

fn described(conflict: &UnitConflict, others: usize) -> String {
    let UnitConflict { stored, given } = conflict;
    let (code, exponent) = (&stored.code, stored.exponent);
    let mut text = match given {
        Some(given) => format!("the ledger has amounts in {code} with {exponent} decimal places, not {given}"),
        None => format!("the ledger has amounts in {code}, which is not declared"),
    };
    if others > 0 {
        text.push_str(&format!("; {others} more units differ"));
    }
    text
}
