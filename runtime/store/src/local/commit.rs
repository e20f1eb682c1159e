//! One commit in the making: reads, writes and the events that it announces.

use std::cell::RefCell;
use std::ops::Range;

use serde::Serialize;
use tidemill_core::Timestamp;

use super::codec::encode;
use super::reads::Reads;
use super::tables::FEED;
use crate::embedded::{Key, KvError, Span, Table, Tx, Value};
use crate::error::StoreError;
use crate::records::FeedEvent;

/// Events that one commit may announce; their places are its position times this.
const EVENTS_PER_COMMIT: u64 = 256;

/// What an operation works on, inside the committer.
pub(super) struct Commit<'a, 'tx> {
    // Reading takes note of what it read, so it needs the transaction for itself; it does so one call at a time.
    tx: RefCell<&'a mut Tx<'tx>>,
    events: u64,
    refused: Option<KvError>,
}

impl<'a, 'tx> Commit<'a, 'tx> {
    pub(super) fn new(tx: &'a mut Tx<'tx>) -> Self {
        Self { tx: RefCell::new(tx), events: 0, refused: None }
    }

    /// Runs `operation`; a write that the store refused on the way refuses all of it.
    pub(super) fn run<T>(
        mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = operation(&mut self)?;
        self.refused.map_or(Ok(done), |error| Err(error.into()))
    }

    /// The number of this commit: higher than of any before, and the version of what it writes.
    pub(super) fn position(&self) -> u64 {
        self.tx.borrow().position()
    }

    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let put = self.tx.get_mut().put(table, key, value);
        self.refused = self.refused.take().or(put.err());
    }

    pub(super) fn put_record<T: Serialize>(&mut self, table: Table, key: &[u8], record: &T) -> Result<(), StoreError> {
        self.put(table, key, &encode(record)?);
        Ok(())
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) {
        let deleted = self.tx.get_mut().delete(table, key);
        self.refused = self.refused.take().or(deleted.err());
    }

    /// Puts an event on the feed. Beyond 256 in one commit they are left out: the feed tells that
    /// something happened, what holds is in the records.
    pub(super) fn announce(&mut self, at: Timestamp, event: &FeedEvent) -> Result<(), StoreError> {
        if self.events < EVENTS_PER_COMMIT {
            let place = self.position().saturating_mul(EVENTS_PER_COMMIT) + self.events;
            self.events += 1;
            self.put_record(FEED, &place.to_be_bytes(), &(at, event))?;
        }
        Ok(())
    }
}

impl Reads for Commit<'_, '_> {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(self.tx.borrow_mut().get(table, key)?)
    }

    fn range(
        &self,
        table: Table,
        range: Range<Vec<u8>>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StoreError> {
        Ok(self.tx.borrow_mut().scan(table, &Span::between(range.start, range.end), backwards, limit)?)
    }
}
