//! The node that uses the store, and the health of the store.

use async_trait::async_trait;
use tidemill_core::{Epoch, NodeId, Timestamp};
use tokio::sync::watch;

use crate::error::StoreError;
use crate::kv::{CommitPosition, IndexSpace};
use crate::records::{RunCounts, Scrub};

/// Whether the store accepts reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// The store reads and writes.
    Good,
    /// Writes fail until disk space is freed.
    DiskFull,
    /// The store is read-only. The text is the cause.
    ReadOnly(String),
}

/// The epochs of nodes, and the store as a whole.
#[async_trait]
pub trait NodeStore: Send + Sync + 'static {
    /// Starts a new epoch of `node`. The epoch is greater than every earlier one.
    async fn begin_epoch(&self, node: &NodeId) -> Result<Epoch, StoreError>;
    /// Returns the current health of the store.
    fn health(&self) -> StoreHealth;
    /// Returns the space that the store's index uses, and that the disk has left; `None` if the
    /// store has no files of its own.
    fn space(&self) -> Option<IndexSpace> {
        None
    }
    /// Returns a channel with the position of the newest readable commit. Each commit updates it.
    fn committed(&self) -> watch::Receiver<CommitPosition>;
    /// Returns how many times the store has waited for the disk to confirm writes.
    fn sync_count(&self) -> u64;
    /// Reads and verifies all stored data at low cost, in parallel to commits. Stops if the caller
    /// drops the future or the store closes. `now` becomes the time of the scrub.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if data differs from what was acknowledged. The store is then
    /// read-only.
    async fn scrub(&self, now: Timestamp) -> Result<Scrub, StoreError>;
    /// Returns the last scrub that found no damage, in this epoch or an earlier one.
    async fn last_scrub(&self) -> Result<Option<Scrub>, StoreError>;
    /// Returns the last scrub of the index alone, which a store does on its own after an unclean
    /// stop. If that scrub is not recorded yet, records it with the time `now`.
    async fn index_scrub(&self, now: Timestamp) -> Result<Option<Scrub>, StoreError>;
    /// Returns how many runs of each kind the whole store contains. The cost does not depend on the
    /// number of runs.
    fn run_counts(&self) -> RunCounts;
    /// Completes queued operations, writes all data to the index and releases the files.
    async fn close(&self) -> Result<(), StoreError>;
}
