//! Silences of alerts.

use tidemill_core::alerts::Silence;
use tidemill_core::{Code, SilenceId};

use crate::embedded::tables::SILENCES;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};

/// Maximum number of silences.
const SILENCES_MAX: usize = 1_000;

/// Stores a silence, and removes those that ended before it was created.
pub(super) fn put(commit: &mut WriteTx<'_, '_>, silence: &Silence) -> Result<()> {
    let all: Vec<Silence> = commit.records(SILENCES, &[])?;
    let (over, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|known| known.ends_at <= silence.created_at);
    for known in over {
        commit.delete(SILENCES, &known.id.to_bytes());
    }
    if kept.len() >= SILENCES_MAX {
        let detail = format!("there are {SILENCES_MAX} silences");
        return Err(StoreError::OverBound { code: Code::LimitSilences, detail });
    }
    commit.put_record(SILENCES, &silence.id.to_bytes(), silence)
}

/// Removes a silence. Returns whether it existed.
pub(super) fn delete(commit: &mut WriteTx<'_, '_>, id: SilenceId) -> Result<bool> {
    let exists = commit.bytes(SILENCES, &id.to_bytes())?.is_some();
    commit.delete(SILENCES, &id.to_bytes());
    Ok(exists)
}
