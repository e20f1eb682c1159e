//! Writes values that may be in payload files: counts the references to each file, and the bytes in
//! the usage of a deployment.

use bytes::Bytes;
use tidemill_core::DeploymentName;

use crate::embedded::tables::{PAYLOADS, STATE};
use crate::embedded::tx::{ReadTx, Table, WriteTx};
use crate::embedded::usage::{UsageDelta, signed};
use crate::embedded::value::{self, BlobRef, INLINE};
use crate::error::Result;

impl WriteTx<'_, '_> {
    /// Stores a value after the table's own prefix, and replaces the old value. Counts it in the
    /// usage of the `whose` deployment; `None` if an operator published it.
    pub(crate) fn put_value(
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
            stored.push(value::IN_RECORD);
            stored.extend_from_slice(own);
            stored.extend_from_slice(value);
        } else {
            let digest = self.digest_of(value)?;
            stored.push(value::IN_FILE);
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
    pub(crate) fn delete_value(&mut self, whose: Option<&DeploymentName>, table: Table, key: &[u8]) -> Result<()> {
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
        let before = Some(value::size(&stored));
        let Some(BlobRef { digest, .. }) = value::blob_of(&stored) else { return Ok(before) };
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
