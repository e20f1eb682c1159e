//! How records become bytes: one byte of format version, then postcard.
//!
//! A record is read by every later release. A change of shape gets a new number and keeps the old reader.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::embedded::Table;
use crate::error::StoreError;

/// The format that this release writes.
const FORMAT: u8 = 3;

/// The bytes of `record`.
pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(record, vec![FORMAT]).map_err(|e| StoreError::Io(format!("a record cannot be encoded: {e}")))
}

/// The record in `bytes`, which lay in `table`.
pub(super) fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
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

    use super::*;
    use crate::local::kept::Kept;
    use crate::local::tables::RUNS;

    proptest! {
        #[test]
        fn garbage_is_damage_and_no_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode::<Kept>(RUNS, &bytes);
            let _ = decode::<crate::records::LedgerEntry>(RUNS, &bytes);
        }
    }

    #[test]
    fn a_newer_format_is_named_as_one() {
        let error = decode::<u64>(RUNS, &[9, 1]).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
    }
}
