//! Reads that work the same inside and outside of a commit.

use std::ops::Range;

use serde::de::DeserializeOwned;
use tidemill_core::DeploymentName;

use crate::embedded::codec::decode;
use crate::embedded::tx::{Key, Table, Value};
use crate::error::{Result, StoreError};
use crate::kv::{KeyRange, Kv, Snapshot};
use crate::records::{Page, PageRequest};

/// Number of records that are read at once.
const BATCH: usize = 512;

/// A source of reads: a commit in progress, or the last committed state.
pub(crate) trait ReadTx {
    /// Returns the bytes under a key.
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>>;
    /// Returns keys and bytes of a range of keys, forwards or backwards.
    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>>;

    /// Returns the decoded record under a key.
    fn record<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        self.bytes(table, key)?.map(|bytes| decode(table, &bytes)).transpose()
    }

    /// Returns keys and bytes of all keys that begin with `prefix`, at most `limit`.
    fn scan_prefix(&self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<(Key, Value)>> {
        self.range(table, prefix_range(prefix), false, limit)
    }

    /// Returns a page of the keys that begin with `prefix`. The cursor is the last key of the
    /// previous page.
    fn page(&self, table: Table, prefix: &[u8], backwards: bool, page: &PageRequest) -> Result<Page<(Key, Value)>> {
        let mut range = prefix_range(prefix);
        if let Some(cursor) = &page.cursor {
            if backwards {
                range.end = range.end.min(cursor.clone());
            } else {
                let mut after = cursor.clone();
                after.push(0);
                range.start = range.start.max(after);
            }
        }
        if range.start >= range.end {
            return Ok(Page::default());
        }
        let limit = page.limit.max(1);
        let mut items = self.range(table, range, backwards, limit + 1)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|(key, _)| key.to_vec()) } else { None };
        Ok(Page { items, next })
    }

    /// Returns a page of decoded records; see [`ReadTx::page`].
    fn record_page<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        backwards: bool,
        page: &PageRequest,
    ) -> Result<Page<T>> {
        self.page(table, prefix, backwards, page)?.try_map(|(_, bytes)| decode(table, &bytes))
    }

    /// Returns the decoded records of all keys that begin with `prefix`.
    fn records<T: DeserializeOwned>(&self, table: Table, prefix: &[u8]) -> Result<Vec<T>> {
        self.scan_prefix(table, prefix, usize::MAX)?.iter().map(|(_, bytes)| decode(table, bytes)).collect()
    }

    /// Returns all records of a table whose keys are names of deployments.
    fn named_records<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(DeploymentName, T)>> {
        let read = |(key, bytes): (Key, Value)| {
            let name = std::str::from_utf8(&key).ok().and_then(|name| name.parse().ok());
            let what = || format!("a key of table {} is no name", table.name);
            Ok((name.ok_or_else(|| StoreError::Damaged { what: what() })?, decode(table, &bytes)?))
        };
        self.range(table, prefix_range(&[]), false, usize::MAX)?.into_iter().map(read).collect()
    }

    /// Visits every record of a range, in order.
    fn each(
        &self,
        table: Table,
        range: Range<Vec<u8>>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_while(table, range, |key, bytes| visit(key, bytes).map(|()| true))
    }

    /// Visits the records of a range, in order, until `visit` returns `false`.
    fn each_while(
        &self,
        table: Table,
        mut range: Range<Vec<u8>>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        while range.start < range.end {
            let batch = self.range(table, range.clone(), false, BATCH)?;
            let Some((last, _)) = batch.last() else { break };
            range.start = [last.as_ref(), &[0]].concat();
            for (key, bytes) in &batch {
                if !visit(key, bytes)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Returns the range of all keys that begin with `prefix`. It excludes keys that consist only of
/// 0xff; the store has none.
pub(crate) fn prefix_range(prefix: &[u8]) -> Range<Vec<u8>> {
    prefix.to_vec()..prefix_end(prefix).unwrap_or_else(|| vec![u8::MAX; 1024])
}

/// Returns the first key after all keys that begin with `prefix`; `None` if there is no such key.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

impl ReadTx for Kv {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.get(table, key)?)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        Ok(self.scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}

/// A view that includes commits that are not durable yet; see [`Kv::newest`].
pub(crate) struct UncommittedView<'a>(pub(crate) &'a Kv);

impl ReadTx for UncommittedView<'_> {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.0.newest(table, key)?)
    }

    /// Reads the last committed state: uncommitted keys are not sorted, so they cannot be scanned.
    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        self.0.range(table, range, backwards, limit)
    }
}

impl ReadTx for Snapshot {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.get(table, key)?)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        Ok(self.scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_sorts_after_all_keys_with_the_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[1, 255]), Some(vec![2]));
        assert_eq!(prefix_end(&[255, 255]), None);
    }
}
