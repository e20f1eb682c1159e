//! One commit in progress: its reads, writes and announced events.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::blobs::PinnedBlobs;
use crate::embedded::codec::encode;
use crate::embedded::runs::record::PendingCancellation;
use crate::embedded::tables::FEED;
use crate::embedded::tx::{Key, ReadTx, Table, Value};
use crate::embedded::usage::UsageDeltas;
use crate::embedded::value::BlobDigest;
use crate::error::{Result, StoreError};
use crate::kv::{KeyRange, KvError, Tx, VisibilityGuard};
use crate::records::{CommitEffects, FeedEvent};

/// Maximum number of events in one commit. Position of an event = position of the commit × this
/// number + index.
const EVENTS_PER_COMMIT: u64 = 256;

/// The transaction of an operation inside the committer.
pub(crate) struct WriteTx<'a, 'tx> {
    // A read records what it read, so it needs exclusive access to the transaction. Each access is
    // one call.
    tx: RefCell<&'a mut Tx<'tx>>,
    events: u64,
    tickets: u32,
    refused: Option<KvError>,
    /// The run that the operation is about. Its own end is not an effect, because the caller knows
    /// it.
    pub(crate) about: Option<RunId>,
    /// The effects of the operation on other objects.
    pub(crate) effects: CommitEffects,
    /// Runs whose children must be cancelled before the operation ends.
    pub(crate) to_cancel: Vec<(RunId, PendingCancellation)>,
    /// The changes of the operation to the usage of deployments.
    pub(crate) changes: UsageDeltas,
    /// The quotas of each deployment.
    pub(crate) quotas: Quotas,
    pinned: Option<Arc<PinnedBlobs>>,
    /// Payload files that lose their last reference with this commit.
    pub(crate) superseded: Vec<BlobDigest>,
}

impl<'a, 'tx> WriteTx<'a, 'tx> {
    /// Creates the transaction. `pinned` contains the long values that the operation may store.
    pub(crate) fn new(tx: &'a mut Tx<'tx>, pinned: Option<Arc<PinnedBlobs>>, quotas: Quotas) -> Self {
        Self {
            tx: RefCell::new(tx),
            events: 0,
            tickets: 0,
            refused: None,
            about: None,
            effects: CommitEffects::default(),
            to_cancel: Vec::new(),
            changes: UsageDeltas::default(),
            quotas,
            pinned,
            superseded: Vec::new(),
        }
    }

    /// Ends the operation, and returns the payload files that lose their last reference with it. If
    /// the store refused one of the writes, the whole operation is refused.
    pub(crate) fn finish(self) -> Result<Vec<BlobDigest>> {
        self.refused.map_or(Ok(self.superseded), |error| Err(error.into()))
    }

    /// Returns the position of this commit, which is higher than all before and is the version of
    /// its writes.
    pub(crate) fn position(&self) -> u64 {
        self.tx.borrow().position()
    }

    /// Returns the next ticket in the order of requests.
    pub(crate) fn ticket(&mut self) -> (u64, u32) {
        let ticket = (self.position(), self.tickets);
        self.tickets = self.tickets.saturating_add(1);
        ticket
    }

    /// Returns the payload file of a long value.
    pub(crate) fn digest_of(&self, value: &Bytes) -> Result<BlobDigest> {
        let digest = self.pinned.as_ref().and_then(|pinned| pinned.digest(value)).copied();
        digest.ok_or_else(|| StoreError::Io("a long value has no payload file".to_owned()))
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let put = self.tx.get_mut().put(table, key, value);
        self.refused = self.refused.take().or(put.err());
    }

    pub(crate) fn put_record<T: Serialize>(&mut self, table: Table, key: &[u8], record: &T) -> Result<()> {
        self.put(table, key, &encode(record)?);
        Ok(())
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        let deleted = self.tx.get_mut().delete(table, key);
        self.refused = self.refused.take().or(deleted.err());
    }

    /// Makes the writes of the operation visible before it is durable, and drops `guard` then.
    pub(crate) fn publish_early(&mut self, guard: VisibilityGuard) {
        self.tx.get_mut().publish_early(guard);
    }

    /// Records that a deployment has a new run to claim.
    pub(crate) fn ready(&mut self, deployment: &DeploymentName) {
        if !self.effects.ready.contains(deployment) {
            self.effects.ready.push(deployment.clone());
        }
    }

    /// Records that a run ended or was parked.
    pub(crate) fn settled(&mut self, run: &Run) {
        if self.about != Some(run.id) {
            self.effects.settled.push(run.clone());
        }
    }

    /// Returns the effects of the operation, sorted.
    pub(crate) fn take_effects(&mut self) -> CommitEffects {
        let mut effects = std::mem::take(&mut self.effects);
        effects.ready.sort_unstable();
        effects.cancelling.sort_unstable();
        effects.cancelling.dedup();
        effects
    }

    /// Announces an event on the feed. Drops events beyond the maximum of one commit: the feed only
    /// signals changes; the records hold the state.
    pub(crate) fn announce(&mut self, at: Timestamp, event: &FeedEvent) -> Result<()> {
        if self.events < EVENTS_PER_COMMIT {
            let place = self.position().saturating_mul(EVENTS_PER_COMMIT) + self.events;
            self.events += 1;
            self.put_record(FEED, &place.to_be_bytes(), &(at, event))?;
        }
        Ok(())
    }
}

impl ReadTx for WriteTx<'_, '_> {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.tx.borrow_mut().get(table, key)?)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        Ok(self.tx.borrow_mut().scan(table, &KeyRange::between(range.start, range.end), backwards, limit)?)
    }
}
