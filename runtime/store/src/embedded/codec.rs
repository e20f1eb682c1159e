//! The encoding of records: one byte of format version, then postcard.
//!
//! Every later release reads each record. A change of shape gets a new format number and keeps the
//! old decoder.

use serde::{Deserialize, Serialize};

use crate::embedded::tx::Table;
use crate::error::StoreError;

/// The format number that this release writes.
const FORMAT: u8 = 3;

/// Encodes `record`.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(record, vec![FORMAT]).map_err(|e| StoreError::Io(format!("a record cannot be encoded: {e}")))
}

/// Decodes the record in `bytes`, which was stored in `table`.
pub(crate) fn decode<'b, T: Deserialize<'b>>(table: Table, bytes: &'b [u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => postcard::from_bytes(body)
            .map_err(|e| StoreError::Damaged { what: format!("a record of table {} cannot be read: {e}", table.name) }),
        Some((format, _)) => Err(StoreError::Damaged {
            what: format!(
                "a record of table {} has format {format}; this release reads {FORMAT}, {} one wrote it",
                table.name,
                if *format > FORMAT { "a newer" } else { "an older" }
            ),
        }),
        None => Err(StoreError::Damaged { what: format!("a record of table {} is empty", table.name) }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_core::Timestamp;

    use super::*;
    use crate::embedded::runs::record::RunRecord;
    use crate::embedded::tables::{FIRING_LIST, RUNS, SCHEDULES};
    use crate::records::{FiringEntry, FiringFate, Schedule};

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = decode::<RunRecord>(RUNS, &bytes);
            let _ = decode::<crate::records::LedgerEntry>(RUNS, &bytes);
        }
    }

    /// A later field at the end of a record is one zero byte if it has its default.
    #[test]
    fn a_record_that_ends_before_later_fields_has_their_defaults() {
        let old = Schedule {
            deployment: "a".parse().unwrap(),
            name: "often".parse().unwrap(),
            revision: tidemill_core::Revision::new(3),
            spec: 7,
            next: Some(Timestamp::from_millis(9)),
            paused: None,
            last: Some(Timestamp::from_millis(8)),
            last_run: None,
            fired: 1,
            skipped: 2,
            dropped: 3,
            late: 4,
            missed: 5,
            by_hand: 6,
            limit: None,
            left: None,
            pause_after_failures: None,
            failures: 0,
            last_failed: None,
            waiting: 0,
            listed: 12,
            due: None,
            through: None,
            since: None,
        };
        let bytes = encode(&old).unwrap();
        assert_eq!(decode::<Schedule>(SCHEDULES, &bytes[..bytes.len() - 3]), Ok(old.clone()));
        assert_eq!((old.upcoming().map(|next| next.due), old.last_processed()), (old.next, old.last));
        let new = Schedule { due: old.next, through: old.last, since: old.last, ..old };
        assert_eq!(decode::<Schedule>(SCHEDULES, &encode(&new).unwrap()), Ok(new));
        let entry = FiringEntry {
            fate: FiringFate::Late,
            code: "host/firing-late".to_owned(),
            first: Timestamp::from_millis(1),
            last: Timestamp::from_millis(2),
            count: 2,
            seen: Timestamp::from_millis(3),
            run: None,
            operation: None,
            more: false,
        };
        let bytes = encode(&entry).unwrap();
        assert_eq!(decode::<FiringEntry>(FIRING_LIST, &bytes[..bytes.len() - 1]), Ok(entry));
    }

    #[test]
    fn an_error_names_a_newer_format() {
        let error = decode::<u64>(RUNS, &[9, 1]).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
    }
}
