//! The stored form of a value: inline in its record, or in a payload file that the record names by
//! its digest.
//!
//! A tag comes first, so the payload file of a record can be found without knowing its table: `0`,
//! then the table's own prefix, then the value; or `1`, length and digest, then the table's own
//! prefix.

use bytes::Bytes;
use tidemill_core::DeploymentName;

use super::blobs::BlobDigest;
use super::read_tx::ReadTx;
use super::tables::{PAYLOADS, STATE};
use super::usage::{UsageDelta, signed};
use super::write_tx::WriteTx;
use crate::error::StoreError;
use crate::kv::Table;

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum size of an inline value, in bytes. Longer values are stored in payload files.
pub(super) const INLINE: usize = 8 << 10;

const IN_RECORD: u8 = 0;
const IN_FILE: u8 = 1;

/// Where a value is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueRef {
    Here(Bytes),
    InFile(BlobRef),
}

/// A payload file, by the digest of its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobRef {
    pub(super) digest: BlobDigest,
    pub(super) length: u64,
}

impl ValueRef {
    /// Returns the size of the value, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::InFile(named) => usize::try_from(named.length).unwrap_or(usize::MAX),
        }
    }
}

/// Splits `stored` into the value and the table's own prefix of `own` bytes.
pub(super) fn read(table: Table, stored: &[u8], own: usize) -> Result<(ValueRef, &[u8])> {
    let damaged = || StoreError::Damaged { what: format!("a value of table {} is too short", table.name) };
    let (mark, rest) = stored.split_first().ok_or_else(damaged)?;
    match *mark {
        IN_RECORD => {
            let (own, value) = rest.split_at_checked(own).ok_or_else(damaged)?;
            Ok((ValueRef::Here(Bytes::copy_from_slice(value)), own))
        }
        IN_FILE => {
            let (named, own) = name(rest).ok_or_else(damaged)?;
            Ok((ValueRef::InFile(named), own))
        }
        mark => {
            Err(StoreError::Damaged { what: format!("a value of table {} has the unknown tag {mark}", table.name) })
        }
    }
}

/// Returns the bytes after the tag of an inline value, or the table's own prefix of a value in a
/// file; `None` if `stored` is malformed.
pub(super) fn own(stored: &[u8]) -> Option<&[u8]> {
    let (mark, rest) = stored.split_first()?;
    match *mark {
        IN_RECORD => Some(rest),
        IN_FILE => name(rest).map(|(_, own)| own),
        _ => None,
    }
}

/// Reads a value whose table has no prefix of its own.
pub(super) fn alone(store: &impl ReadTx, table: Table, key: &[u8]) -> Result<Option<ValueRef>> {
    store.bytes(table, key)?.map(|stored| Ok(read(table, &stored, 0)?.0)).transpose()
}

fn name(bytes: &[u8]) -> Option<(BlobRef, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (digest, own) = rest.split_first_chunk::<32>()?;
    Some((BlobRef { digest: *digest, length: u64::from_le_bytes(*length) }, own))
}

/// Returns the size of a stored value and its table's own prefix, in bytes, wherever the value is
/// stored.
pub(super) fn size(stored: &[u8]) -> usize {
    // Without the tag, and without the length and digest of a value in a file.
    match file_of(stored) {
        Some(named) => usize::try_from(named.length).unwrap_or(usize::MAX).saturating_add(stored.len() - 41),
        None => stored.len().saturating_sub(1),
    }
}

fn file_of(stored: &[u8]) -> Option<BlobRef> {
    let (mark, rest) = stored.split_first()?;
    (*mark == IN_FILE).then(|| name(rest)).flatten().map(|(named, _)| named)
}

impl WriteTx<'_, '_> {
    /// Stores a value after the table's own prefix, and replaces the old value. Counts it in the
    /// usage of the `whose` deployment; `None` if an operator published it.
    pub(super) fn put_held(
        &mut self,
        whose: Option<&DeploymentName>,
        table: Table,
        key: &[u8],
        own: &[u8],
        value: &Bytes,
    ) -> Result<()> {
        let before = self.release(table, key)?;
        self.count(whose, table, key, before, Some(own.len() + value.len()));
        let mut stored = Vec::with_capacity(1 + own.len() + value.len().clamp(40, INLINE));
        if value.len() <= INLINE {
            stored.push(IN_RECORD);
            stored.extend_from_slice(own);
            stored.extend_from_slice(value);
        } else {
            let digest = self.filed(value)?;
            stored.push(IN_FILE);
            stored.extend_from_slice(&(value.len() as u64).to_le_bytes());
            stored.extend_from_slice(&digest);
            stored.extend_from_slice(own);
            let names: u64 = self.record(PAYLOADS, &digest)?.unwrap_or_default();
            self.put_record(PAYLOADS, &digest, &(names + 1))?;
        }
        self.put(table, key, &stored);
        Ok(())
    }

    /// Deletes a value from the usage of the `whose` deployment.
    pub(super) fn delete_held(&mut self, whose: Option<&DeploymentName>, table: Table, key: &[u8]) -> Result<()> {
        let before = self.release(table, key)?;
        self.count(whose, table, key, before, None);
        self.delete(table, key);
        Ok(())
    }

    /// Adds the change of size under a key to the usage of a deployment.
    fn count(
        &mut self,
        whose: Option<&DeploymentName>,
        table: Table,
        key: &[u8],
        before: Option<usize>,
        after: Option<usize>,
    ) {
        let Some(whose) = whose else { return };
        // Only state keys are chosen by the guest and vary in length.
        let fixed = if table == STATE { key.len() } else { 0 };
        let size = |size: Option<usize>| size.map_or(0, |size| signed(size + fixed));
        self.changes.note(whose, UsageDelta::bytes(table, size(after) - size(before)));
    }

    /// Removes the reference of the value under a key to its payload file, and returns the value's
    /// size. A file without references is removed after the commit is durable.
    fn release(&mut self, table: Table, key: &[u8]) -> Result<Option<usize>> {
        let Some(stored) = self.bytes(table, key)? else { return Ok(None) };
        let before = Some(size(&stored));
        let Some(BlobRef { digest, .. }) = file_of(&stored) else { return Ok(before) };
        let names: u64 = self.record(PAYLOADS, &digest)?.unwrap_or_default();
        if names > 1 {
            self.put_record(PAYLOADS, &digest, &(names - 1))?;
        } else {
            self.delete(PAYLOADS, &digest);
            self.superseded.push(digest);
        }
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), own in 0_usize..20) {
            let _ = read(STATE, &bytes, own);
            let _ = file_of(&bytes);
            let _ = size(&bytes);
        }
    }
}
