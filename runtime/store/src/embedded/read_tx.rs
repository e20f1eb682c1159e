//! Reads that work the same inside and outside of a commit.

use std::ops::Range;

use serde::de::DeserializeOwned;

use super::codec::decode;
use super::tables::prefix_end;
use crate::error::StoreError;
use crate::kv::{Key, Table, Value};
use crate::records::{Page, PageRequest};

type Result<T> = std::result::Result<T, StoreError>;

/// A source of reads: a commit in progress, or the last committed state.
pub(super) trait ReadTx {
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
}

/// Returns the range of all keys that begin with `prefix`. It excludes keys that consist only of
/// 0xff; the store has none.
pub(super) fn prefix_range(prefix: &[u8]) -> Range<Vec<u8>> {
    prefix.to_vec()..prefix_end(prefix).unwrap_or_else(|| vec![u8::MAX; 1024])
}

impl<T> Page<T> {
    /// Converts each item of the page.
    pub(super) fn try_map<U>(self, f: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        Ok(Page { items: self.items.into_iter().map(f).collect::<Result<_>>()?, next: self.next })
    }
}
