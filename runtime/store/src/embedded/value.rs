//! The stored form of a value: inline in its record, or in a payload file that the record names by
//! its digest.
//!
//! A tag comes first, so the payload file of a record can be found without knowing its table: `0`,
//! then the table's own prefix, then the value; or `1`, length and digest, then the table's own
//! prefix.

use bytes::Bytes;

use crate::embedded::tx::{ReadTx, Table};
use crate::error::{Result, StoreError};

/// The SHA-256 digest of a payload file's bytes.
pub(crate) type BlobDigest = [u8; 32];

/// Maximum size of an inline value, in bytes. Longer values are stored in payload files.
pub(crate) const INLINE: usize = 8 << 10;
pub(crate) const IN_RECORD: u8 = 0;
pub(crate) const IN_FILE: u8 = 1;

/// Where a value is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueRef {
    Inline(Bytes),
    Blob(BlobRef),
}

/// A payload file, by the digest of its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobRef {
    pub(crate) digest: BlobDigest,
    pub(crate) length: u64,
}

impl ValueRef {
    /// The value of a run without an input.
    pub(crate) const EMPTY: Self = Self::Inline(Bytes::new());

    /// Returns the size of the value, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Blob(named) => usize::try_from(named.length).unwrap_or(usize::MAX),
        }
    }
}

/// Splits `stored` into the value and the table's own prefix of `own` bytes.
pub(crate) fn read(table: Table, stored: &[u8], own: usize) -> Result<(ValueRef, &[u8])> {
    let damaged = || StoreError::Damaged { what: format!("a value of table {} is too short", table.name) };
    let (mark, rest) = stored.split_first().ok_or_else(damaged)?;
    match *mark {
        IN_RECORD => {
            let (own, value) = rest.split_at_checked(own).ok_or_else(damaged)?;
            Ok((ValueRef::Inline(Bytes::copy_from_slice(value)), own))
        }
        IN_FILE => {
            let (named, own) = name(rest).ok_or_else(damaged)?;
            Ok((ValueRef::Blob(named), own))
        }
        mark => {
            Err(StoreError::Damaged { what: format!("a value of table {} has the unknown tag {mark}", table.name) })
        }
    }
}

/// Returns the bytes after the tag of an inline value, or the table's own prefix of a value in a
/// file; `None` if `stored` is malformed.
pub(crate) fn own(stored: &[u8]) -> Option<&[u8]> {
    let (mark, rest) = stored.split_first()?;
    match *mark {
        IN_RECORD => Some(rest),
        IN_FILE => name(rest).map(|(_, own)| own),
        _ => None,
    }
}

/// Reads a value whose table has no prefix of its own.
pub(crate) fn alone(store: &impl ReadTx, table: Table, key: &[u8]) -> Result<Option<ValueRef>> {
    store.bytes(table, key)?.map(|stored| Ok(read(table, &stored, 0)?.0)).transpose()
}

fn name(bytes: &[u8]) -> Option<(BlobRef, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (digest, own) = rest.split_first_chunk::<32>()?;
    Some((BlobRef { digest: *digest, length: u64::from_le_bytes(*length) }, own))
}

/// Returns the size of a stored value and its table's own prefix, in bytes, wherever the value is
/// stored.
pub(crate) fn size(stored: &[u8]) -> usize {
    // Without the tag, and without the length and digest of a value in a file.
    match blob_of(stored) {
        Some(named) => usize::try_from(named.length).unwrap_or(usize::MAX).saturating_add(stored.len() - 41),
        None => stored.len().saturating_sub(1),
    }
}

pub(crate) fn blob_of(stored: &[u8]) -> Option<BlobRef> {
    let (mark, rest) = stored.split_first()?;
    (*mark == IN_FILE).then(|| name(rest)).flatten().map(|(named, _)| named)
}

/// Returns the values that are too long for a record.
pub(crate) fn long<'v>(values: impl IntoIterator<Item = &'v Bytes>) -> Vec<Bytes> {
    values.into_iter().filter(|value| value.len() > INLINE).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::tables::STATE;

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), own in 0_usize..20) {
            let _ = read(STATE, &bytes, own);
            let _ = blob_of(&bytes);
            let _ = size(&bytes);
        }
    }
}
