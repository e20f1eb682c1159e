//! One commit in progress: its reads, writes and announced events.

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

/// Maximum number of events in one commit. Position of an event = position of the commit × this
/// number + index.
const EVENTS_PER_COMMIT: u64 = 256;

/// The transaction of an operation inside the committer.
pub(super) struct WriteTx<'a, 'tx> {
    // A read records what it read, so it needs exclusive access to the transaction. Each access is
    // one call.
    tx: RefCell<&'a mut Tx<'tx>>,
    events: u64,
    tickets: u32,
    refused: Option<KvError>,
    /// The run that the operation is about. Its own end is not an effect, because the caller knows
    /// it.
    pub(super) about: Option<RunId>,
    /// The effects of the operation on other objects.
    pub(super) caused: CommitEffects,
    /// Runs whose children must be cancelled before the operation ends.
    pub(super) to_cancel: Vec<(RunId, PendingCancellation)>,
    /// The changes of the operation to the usage of deployments.
    pub(super) changes: UsageDeltas,
    /// The quotas of each deployment.
    pub(super) quotas: Quotas,
    filed: Option<Arc<PinnedBlobs>>,
    /// Payload files that lose their last reference with this commit.
    pub(super) superseded: Vec<BlobDigest>,
}

impl<'a, 'tx> WriteTx<'a, 'tx> {
    /// Creates the transaction. `filed` contains the long values that the operation may store.
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

    /// Runs `operation`, and returns the payload files that lose their last reference with it. If
    /// the store refused one of the writes, the whole operation is refused.
    pub(super) fn run<T>(
        mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(T, Vec<BlobDigest>), StoreError> {
        let done = operation(&mut self)?;
        let changes = std::mem::take(&mut self.changes);
        usage::write(&mut self, changes)?;
        self.refused.map_or(Ok((done, self.superseded)), |error| Err(error.into()))
    }

    /// Returns the position of this commit, which is higher than all before and is the version of
    /// its writes.
    pub(super) fn position(&self) -> u64 {
        self.tx.borrow().position()
    }

    /// Returns the next ticket in the order of requests.
    pub(super) fn ticket(&mut self) -> (u64, u32) {
        let ticket = (self.position(), self.tickets);
        self.tickets = self.tickets.saturating_add(1);
        ticket
    }

    /// Returns the payload file of a long value.
    pub(super) fn filed(&self, value: &Bytes) -> Result<BlobDigest, StoreError> {
        let digest = self.filed.as_ref().and_then(|filed| filed.digest(value)).copied();
        digest.ok_or_else(|| StoreError::Io("a long value has no payload file".to_owned()))
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

    /// Makes the writes of the operation visible before it is durable, and drops `turn` then.
    pub(super) fn publish_early(&mut self, turn: VisibilityGuard) {
        self.tx.get_mut().publish_early(turn);
    }

    /// Records that a deployment has a new run to claim.
    pub(super) fn ready(&mut self, deployment: &DeploymentName) {
        if !self.caused.ready.contains(deployment) {
            self.caused.ready.push(deployment.clone());
        }
    }

    /// Records that a run ended or was parked.
    pub(super) fn settled(&mut self, run: &Run) {
        if self.about != Some(run.id) {
            self.caused.settled.push(run.clone());
        }
    }

    /// Returns the effects of the operation, sorted.
    pub(super) fn take_caused(&mut self) -> CommitEffects {
        let mut caused = std::mem::take(&mut self.caused);
        caused.ready.sort_unstable();
        caused.cancelling.sort_unstable();
        caused.cancelling.dedup();
        caused
    }

    /// Announces an event on the feed. Drops events beyond the maximum of one commit: the feed only
    /// signals changes; the records hold the state.
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
