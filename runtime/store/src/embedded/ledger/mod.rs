//! The ledger: a chain of immutable entries, and what is derived from them in the same commit.
//!
//! `append` writes; `entries`, `reservations`, `totals` and `reports` read; `check` recomputes
//! everything. `periods` decides which entries are late. `findings` keeps what is odd.

pub(crate) mod append;
pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod credit;
pub(crate) mod customers;
pub(crate) mod entries;
pub(crate) mod evidence;
mod expiry;
pub(crate) mod findings;
pub(crate) mod fuel;
pub(crate) mod keys;
mod periods;
mod rates;
pub(crate) mod record;
mod reports;
pub(crate) mod reservations;
pub(crate) mod rows;
pub(crate) mod sketch;
mod store;
pub(crate) mod sums;
pub(crate) mod totals;
pub(crate) mod units;

use tidemill_core::Timestamp;
use tidemill_core::money::EntryCall;

use crate::embedded::tx::ReadTx;
use crate::error::{Result, StoreError};
use crate::records::NewEntry;

pub(crate) use append::post;

/// Returns why the entries of a transaction are no longer valid: another commit has ended a
/// reservation or taken an external id.
pub(crate) fn impossible(
    store: &impl ReadTx,
    new: &[NewEntry],
    leaves_out_duplicates: bool,
    now: Timestamp,
) -> Result<Option<StoreError>> {
    if let Some(refusal) = reservations::impossible_end(store, new, now)? {
        return Ok(Some(refusal));
    }
    for entry in new {
        let external_id = &entry.external_id;
        if entries::external_id_sequence(store, &entry.stream, external_id)?.is_some()
            && !(leaves_out_duplicates && is_duplicate(store, entry)?)
        {
            return Ok(Some(StoreError::ExternalIdTaken { external_id: external_id.clone() }));
        }
    }
    Ok(None)
}

/// Whether the ledger has a posted entry with the same external id and content.
pub(crate) fn is_duplicate(store: &impl ReadTx, new: &NewEntry) -> Result<bool> {
    if new.call != EntryCall::Post {
        return Ok(false);
    }
    let stored = entries::by_external_id(store, &new.stream, &new.external_id)?;
    Ok(stored.is_some_and(|stored| stored.content == new.content))
}
