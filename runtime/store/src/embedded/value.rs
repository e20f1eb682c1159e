//! A value as it lies under a key: in the record, or, where it is long, in a file that the record names by its digest.
//!
//! The mark stands first, so that what a record names is known without knowing its table: `0`, then what the table has of its own,
//! then the value; or `1`, length and digest, then what the table has of its own.

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

/// Values of more bytes lie in files.
pub(super) const INLINE: usize = 8 << 10;

const IN_RECORD: u8 = 0;
const IN_FILE: u8 = 1;

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueRef {
    Here(Bytes),
    InFile(BlobRef),
}

/// A file, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobRef {
    pub(super) digest: BlobDigest,
    pub(super) length: u64,
}

impl ValueRef {
    /// How long the value is, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::InFile(named) => usize::try_from(named.length).unwrap_or(usize::MAX),
        }
    }
}

/// What lies in `stored`: where the value is, and the `own` bytes that the table put before it.
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
        mark => Err(StoreError::Damaged { what: format!("a value of table {} has the mark {mark}", table.name) }),
    }
}

/// What a table put before a value, and what follows it; none where there is nothing to read.
pub(super) fn own(stored: &[u8]) -> Option<&[u8]> {
    let (mark, rest) = stored.split_first()?;
    match *mark {
        IN_RECORD => Some(rest),
        IN_FILE => name(rest).map(|(_, own)| own),
        _ => None,
    }
}

/// A value that is alone under its key.
pub(super) fn alone(store: &impl ReadTx, table: Table, key: &[u8]) -> Result<Option<ValueRef>> {
    store.bytes(table, key)?.map(|stored| Ok(read(table, &stored, 0)?.0)).transpose()
}

fn name(bytes: &[u8]) -> Option<(BlobRef, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (digest, own) = rest.split_first_chunk::<32>()?;
    Some((BlobRef { digest: *digest, length: u64::from_le_bytes(*length) }, own))
}

/// How long a stored value is together with what its table put before it, in bytes, wherever the value lies.
pub(super) fn size(stored: &[u8]) -> usize {
    // The mark, and of a value in a file its length and digest.
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
    /// Puts a value, with what the table has of its own before it, in the place of what lies there. It counts as kept by
    /// `whose` deployment; by none where an operator published it.
    pub(super) fn put_held(
        &mut self,
        whose: Option<&DeploymentName>,
        table: Table,
        key: &[u8],
        own: &[u8],
        value: &Bytes,
    ) -> Result<()> {
        let before = self.let_go(table, key)?;
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

    /// Deletes a value that `whose` deployment kept.
    pub(super) fn delete_held(&mut self, whose: Option<&DeploymentName>, table: Table, key: &[u8]) -> Result<()> {
        let before = self.let_go(table, key)?;
        self.count(whose, table, key, before, None);
        self.delete(table, key);
        Ok(())
    }

    /// Notes the change of size under a key of a deployment's.
    fn count(
        &mut self,
        whose: Option<&DeploymentName>,
        table: Table,
        key: &[u8],
        before: Option<usize>,
        after: Option<usize>,
    ) {
        let Some(whose) = whose else { return };
        // Only keys of state are chosen by the guest, and of any length.
        let fixed = if table == STATE { key.len() } else { 0 };
        let size = |size: Option<usize>| size.map_or(0, |size| signed(size + fixed));
        self.changes.note(whose, UsageDelta::bytes(table, size(after) - size(before)));
    }

    /// Takes away the name that the value under a key gives to a file, and answers the value's size. A file that has none
    /// left is removed when the commit is durable.
    fn let_go(&mut self, table: Table, key: &[u8]) -> Result<Option<usize>> {
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
        fn garbage_is_damage_and_no_panic(bytes in any::<Vec<u8>>(), own in 0_usize..20) {
            let _ = read(STATE, &bytes, own);
            let _ = file_of(&bytes);
            let _ = size(&bytes);
        }
    }
}
