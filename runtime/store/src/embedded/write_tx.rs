//! One commit in the making: reads, writes and the events that it announces.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use super::blobs::{BlobDigest, PinnedBlobs};
use super::codec::encode;
use super::read_tx::ReadTx;
use super::tables::FEED;
use super::usage::{self, UsageDeltas};
use crate::embedded::runs::tree::PendingCancellation;
use crate::error::StoreError;
use crate::kv::{Key, KeyRange, KvError, Table, Tx, Value, VisibilityGuard};
use crate::records::{CommitEffects, FeedEvent};

/// Events that one commit may announce; their places are its position times this.
const EVENTS_PER_COMMIT: u64 = 256;

/// What an operation works on, inside the committer.
pub(super) struct WriteTx<'a, 'tx> {
    // Reading takes note of what it read, so it needs the transaction for itself; it does so one call at a time.
    tx: RefCell<&'a mut Tx<'tx>>,
    events: u64,
    tickets: u32,
    refused: Option<KvError>,
    /// The run that the operation is about: its own end is no news to whoever asked for it.
    pub(super) about: Option<RunId>,
    /// What the operation led to elsewhere.
    pub(super) caused: CommitEffects,
    /// Runs whose children are to be cancelled before the operation ends.
    pub(super) to_cancel: Vec<(RunId, PendingCancellation)>,
    /// What the operation changes of what deployments keep.
    pub(super) changes: UsageDeltas,
    /// What they may keep.
    pub(super) quotas: Quotas,
    filed: Option<Arc<PinnedBlobs>>,
    /// Files that lose their last name with this commit.
    pub(super) superseded: Vec<BlobDigest>,
}

impl<'a, 'tx> WriteTx<'a, 'tx> {
    /// `filed` are the long values that the operation may put.
    pub(super) fn new(tx: &'a mut Tx<'tx>, filed: Option<Arc<PinnedBlobs>>, quotas: Quotas) -> Self {
        Self {
            tx: RefCell::new(tx),
            events: 0,
            tickets: 0,
            refused: None,
            about: None,
            caused: CommitEffects::default(),
            to_cancel: Vec::new(),
            changes: UsageDeltas::default(),
            quotas,
            filed,
            superseded: Vec::new(),
        }
    }

    /// Runs `operation` and says which files lose their last name with it; a write that the store refused on the way refuses
    /// all of it.
    pub(super) fn run<T>(
        mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(T, Vec<BlobDigest>), StoreError> {
        let done = operation(&mut self)?;
        let changes = std::mem::take(&mut self.changes);
        usage::write(&mut self, changes)?;
        self.refused.map_or(Ok((done, self.superseded)), |error| Err(error.into()))
    }

    /// The number of this commit: higher than of any before, and the version of what it writes.
    pub(super) fn position(&self) -> u64 {
        self.tx.borrow().position()
    }

    /// The next place in the order of request.
    pub(super) fn ticket(&mut self) -> (u64, u32) {
        let ticket = (self.position(), self.tickets);
        self.tickets = self.tickets.saturating_add(1);
        ticket
    }

    /// The file in which a long value lies.
    pub(super) fn filed(&self, value: &Bytes) -> Result<BlobDigest, StoreError> {
        let digest = self.filed.as_ref().and_then(|filed| filed.digest(value)).copied();
        digest.ok_or_else(|| StoreError::Io("a long value has no file".to_owned()))
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

    /// Shows what the operation writes before it is durable, and drops `turn` then.
    pub(super) fn hand_on(&mut self, turn: VisibilityGuard) {
        self.tx.get_mut().hand_on(turn);
    }

    /// Notes that a deployment got something to claim.
    pub(super) fn ready(&mut self, deployment: &DeploymentName) {
        if !self.caused.ready.contains(deployment) {
            self.caused.ready.push(deployment.clone());
        }
    }

    /// Notes that a run ended or was parked.
    pub(super) fn settled(&mut self, run: &Run) {
        if self.about != Some(run.id) {
            self.caused.settled.push(run.clone());
        }
    }

    /// What the operation led to, in its final order.
    pub(super) fn take_caused(&mut self) -> CommitEffects {
        let mut caused = std::mem::take(&mut self.caused);
        caused.ready.sort_unstable();
        caused.cancelling.sort_unstable();
        caused.cancelling.dedup();
        caused
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

impl ReadTx for WriteTx<'_, '_> {
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
        Ok(self.tx.borrow_mut().scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}
