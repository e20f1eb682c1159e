//! The number of decimal places of each unit, as its first entry was posted with.
//!
//! Amounts are stored in minor units, so that another number of decimal places would move the
//! point in every stored amount. A start with another number, or without a unit of the ledger, is
//! refused.

use tidemill_core::Code;

use crate::embedded::ledger::keys;
use crate::embedded::tables::{LEDGER_MARKS, LEDGER_STREAMS};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{LedgerUnit, UnitConflict};

/// Stores a unit with its first entry.
pub(crate) fn note(commit: &mut WriteTx<'_, '_>, code: &str, exponent: u8) -> Result<()> {
    let key = keys::unit(code);
    match commit.record::<u8>(LEDGER_MARKS, &key)? {
        Some(stored) if stored == exponent => Ok(()),
        // The host compares the units before it runs anything, but a run may have an entry that it
        // made before and that is not committed.
        Some(stored) => Err(StoreError::EffectImpossible {
            code: Code::UnitChanged,
            detail: format!("an entry in {code} with {exponent} decimal places; the ledger has {stored}"),
        }),
        None => commit.put_record(LEDGER_MARKS, &key, &exponent),
    }
}

/// Returns all stored units, by their codes.
pub(crate) fn all(store: &impl ReadTx) -> Result<Vec<LedgerUnit>> {
    let mut units = Vec::new();
    store.each(LEDGER_MARKS, prefix_range(keys::UNITS), |key, bytes| {
        let code = keys::text(&key[keys::UNITS.len()..])?.to_owned();
        units.push(LedgerUnit { code, exponent: crate::embedded::codec::decode(LEDGER_MARKS, bytes)? });
        Ok(())
    })?;
    Ok(units)
}

/// Compares the units of the ledger with the exponents that `known` gives. Also returns the units
/// of an earlier release, which has stored none, with these exponents.
pub(crate) fn compare(
    store: &impl ReadTx,
    known: impl Fn(&str) -> Option<u8>,
) -> Result<(Vec<UnitConflict>, Vec<LedgerUnit>)> {
    let stored = all(store)?;
    let mut conflicts = Vec::new();
    for unit in &stored {
        let given = known(&unit.code);
        if given != Some(unit.exponent) {
            conflicts.push(UnitConflict { stored: unit.clone(), given });
        }
    }
    let mut used: Vec<String> = Vec::new();
    store.each(LEDGER_STREAMS, prefix_range(&[]), |key, _| {
        let currency = keys::text(keys::stream_and_rest(key)?.1)?;
        if !stored.iter().any(|unit| unit.code == currency) && !used.iter().any(|code| code == currency) {
            used.push(currency.to_owned());
        }
        Ok(())
    })?;
    let mut missing = Vec::new();
    for code in used {
        match known(&code) {
            Some(exponent) => missing.push(LedgerUnit { code, exponent }),
            None => conflicts.push(UnitConflict { stored: LedgerUnit { code, exponent: 0 }, given: None }),
        }
    }
    Ok((conflicts, missing))
}
