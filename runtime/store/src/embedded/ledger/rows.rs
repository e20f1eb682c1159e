//! The rows by which an entry is found: its external id, its time, and what it answers. Each
//! follows from the entry alone.

use crate::embedded::codec::encode;
use crate::embedded::ledger::keys;
use crate::embedded::ledger::record::TimeRecord;
use crate::embedded::tables::{LEDGER_IDS, LEDGER_LATE, LEDGER_OF, LEDGER_TIMES};
use crate::embedded::tx::Table;
use crate::error::Result;
use crate::records::LedgerEntry;

/// A table, a key and a value.
pub(crate) type Row = (Table, Vec<u8>, Vec<u8>);

/// Returns the rows of an entry.
pub(crate) fn of(entry: &LedgerEntry) -> Result<impl Iterator<Item = Row> + use<>> {
    let sequence = entry.sequence;
    let id = (LEDGER_IDS, keys::external_id(&entry.stream, &entry.external_id), encode(&sequence)?);
    let record = encode(&TimeRecord::of(entry))?;
    let late =
        entry.late.then(|| (LEDGER_LATE, keys::by_time(&entry.stream, entry.posted_at, sequence), record.clone()));
    let time = (LEDGER_TIMES, keys::by_time(&entry.stream, entry.occurred_at, sequence), record);
    let answer = entry.of.as_ref().map(|of| (LEDGER_OF, keys::answer(&entry.stream, of, sequence), Vec::new()));
    Ok([id, time].into_iter().chain(answer).chain(late))
}
