//! Every table with sealed bytes: how to read and replace the data key of one of its records.
//!
//! A new table needs a variant of [`SealedTable`], and its three functions here.

use bytes::Bytes;

use tidemill_core::DeliveryId;

use super::versions::split_version;
use crate::embedded::codec::{decode, encode};
use crate::embedded::deliveries::body;
use crate::embedded::tables::{DELIVERY_BODIES, SECRET_VERSIONS};
use crate::embedded::tx::Table;
use crate::error::{Result, StoreError};
use crate::records::{SealedTable, SecretVersion};

/// The context and data key of one record.
pub(super) struct RecordKey {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) wrapped: Bytes,
}

/// Returns the table of the key-value layer.
pub(super) const fn table(of: SealedTable) -> Table {
    match of {
        SealedTable::Secrets => SECRET_VERSIONS,
        SealedTable::Deliveries => DELIVERY_BODIES,
    }
}

/// Reads the data key of a record; `None` if the record is not sealed.
pub(super) fn read(of: SealedTable, key: &[u8], record: &[u8]) -> Result<Option<RecordKey>> {
    match of {
        SealedTable::Secrets => {
            let (name, version) = split_version(key)?;
            let record: SecretVersion = decode(SECRET_VERSIONS, record)?;
            Ok(Some(RecordKey { name, version, wrapped: record.sealed.key }))
        }
        SealedTable::Deliveries => {
            let wrapped = body::key_of(record)?;
            let id = key.try_into().map(DeliveryId::from_bytes).map_err(|_| damaged("delivery-bodies"))?;
            // A delivery never changes, so its body has one version.
            let of = |wrapped| RecordKey { name: id.to_string(), version: 1, wrapped };
            Ok((!wrapped.is_empty()).then(|| of(Bytes::copy_from_slice(wrapped))))
        }
    }
}

/// Returns the record with another data key.
pub(super) fn replace(of: SealedTable, record: &[u8], wrapped: Bytes) -> Result<Vec<u8>> {
    match of {
        SealedTable::Secrets => {
            let mut record: SecretVersion = decode(SECRET_VERSIONS, record)?;
            record.sealed.key = wrapped;
            encode(&record)
        }
        SealedTable::Deliveries => body::with_key(record, &wrapped),
    }
}

fn damaged(table: &str) -> StoreError {
    StoreError::Damaged { what: format!("a key of table {table} has another length") }
}
