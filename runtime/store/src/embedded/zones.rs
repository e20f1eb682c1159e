//! Marks of the time zone rules that the next times of schedules were last computed with, by the
//! name of the zone.

use std::collections::BTreeMap;

use super::read_tx::ReadTx;
use super::tables::META;
use super::write_tx::WriteTx;
use crate::error::StoreError;

/// The key of the marks in [`META`].
const ZONES: &[u8] = b"zones";

pub(super) fn marks(store: &impl ReadTx) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(store.record(META, ZONES)?.unwrap_or_default())
}

pub(super) fn put_marks(commit: &mut WriteTx<'_, '_>, marks: &BTreeMap<String, u64>) -> Result<(), StoreError> {
    commit.put_record(META, ZONES, marks)
}
