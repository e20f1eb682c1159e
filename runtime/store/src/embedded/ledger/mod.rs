//! The ledger: a chain of immutable entries, and what is derived from them in the same commit.
//!
//! `append` writes; `entries`, `reservations`, `totals` and `reports` read; `check` recomputes
//! everything. `periods` decides which entries are late.

pub(crate) mod append;
pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod customers;
pub(crate) mod entries;
mod expiry;
pub(crate) mod keys;
mod periods;
mod rates;
pub(crate) mod record;
mod reports;
pub(crate) mod reservations;
pub(crate) mod rows;
mod sketch;
mod store;
pub(crate) mod sums;
pub(crate) mod totals;
pub(crate) mod units;

use tidemill_core::Timestamp;

use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::NewEntry;

pub(crate) use append::post;

/// Returns what another commit has changed so that the entries of a transaction are no longer
/// valid: an external id is taken, or a reservation has ended.
pub(crate) fn conflict(store: &impl ReadTx, new: &[NewEntry], now: Timestamp) -> Result<Option<String>> {
    for entry in new {
        let id = &entry.external_id;
        if entries::external_id_sequence(store, &entry.stream, id)?.is_some() {
            return Ok(Some(format!("external id `{id}`")));
        }
    }
    let ended = reservations::conflict(store, new, now)?;
    Ok(ended.map(|id| format!("reservation `{id}`")))
}
