//! Applies the log to the index, when the store opens and after a fault of the index.

use crate::kv::error::KvError;
use crate::kv::index::IndexReader;
use crate::kv::log::replay::Replay;

/// Checks the index's last checkpoint against the header and the log, then applies the log to the
/// index.
pub(in crate::kv) fn apply(reading: &IndexReader<'_>, replay: &Replay, checkpoint: u64) -> Result<(), KvError> {
    let known = reading.mark()?;
    if known < checkpoint {
        return Err(KvError::damaged(format!("the index has group {known} but the checkpoint is at {checkpoint}")));
    }
    if known > replay.end().generation {
        return Err(KvError::damaged(format!(
            "the log ends with group {} but the index has group {known}",
            replay.end().generation
        )));
    }
    replay.each(|payload| {
        for write in payload.writes {
            let slot = reading
                .slot(write.table)
                .map_err(|_| KvError::damaged(format!("the log writes to table {}", write.table)))?;
            reading.write(slot, write.key, write.sealed.map(sled::IVec::from))?;
        }
        Ok(())
    })
}
