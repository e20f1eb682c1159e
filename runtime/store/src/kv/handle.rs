//! The embedded store's front: submits operations, reads committed values, reports health and
//! closes the store.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot, watch};

use super::checksum::{self, Key, Value};
use super::config::{KvConfig, Table};
use super::error::{KvError, KvHealth, SubmitError};
use super::index;
use super::key_range::KeyRange;
use super::open::{self, OpenReport};
use super::scrub::{self, ScanPriority};
use super::snapshot::Snapshot;
use super::state::{CommitPosition, KvState};
use crate::kv::commit::batch::Tx;
use crate::kv::commit::job::{Job, SubmittedOperation};
use crate::kv::commit::mvcc::Versions;
use crate::kv::index::rewrite;
use crate::kv::index::space::{IndexSpace, ScrubResult};

/// An open store. A clone is another handle to the same store; the store closes when the last
/// handle is dropped.
#[derive(Clone)]
pub struct Kv {
    queue: mpsc::Sender<Job>,
    shared: Arc<KvState>,
}

impl Kv {
    /// Opens the store in `config.dir`, and creates it if the folder is missing or empty. Blocks
    /// for some milliseconds, and for longer after a crash.
    ///
    /// # Errors
    /// [`KvError::Locked`] if another process has the folder open; [`KvError::Damaged`] if a file
    /// is not what was acknowledged; [`KvError::Io`].
    pub fn open(config: KvConfig) -> Result<(Self, OpenReport), KvError> {
        let (queue, shared, report) = open::open(config)?;
        Ok((Self { queue, shared }, report))
    }

    /// Runs `operation` on the newest state, in the committer's thread, serially with all other
    /// operations. It must be quick and must not block, because every caller waits for it.
    ///
    /// The future resolves when the group is durable and readable, or with the operation's refusal,
    /// which writes nothing. The operation is queued when the future is first polled. It runs even
    /// if the future is dropped after that.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] with the operation's error, [`SubmitError::Panicked`], or
    /// [`SubmitError::Store`]. After [`KvError::DiskFull`] nothing was written. After
    /// [`KvError::ReadOnly`] the outcome is unknown until the store is opened again.
    pub fn submit<T, E, F>(&self, operation: F) -> impl Future<Output = Result<T, SubmitError<E>>> + Send + use<T, E, F>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let queue = self.queue.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let job = Job::Run(Box::new(SubmittedOperation { operation, answer }));
            queue.send(job).await.map_err(|_| KvError::Closed)?;
            answered.await.map_err(|_| KvError::Closed)?
        }
    }

    /// Returns the last committed value of a key.
    ///
    /// # Errors
    /// [`KvError::Damaged`] if the value fails its checksum, which makes the store read-only;
    /// [`KvError::Io`] and [`KvError::Closed`].
    pub fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Value>, KvError> {
        self.read(table, key.as_ref(), Versions::unindexed)
    }

    /// Returns the value of a key as the next operation will most likely read it. It includes what
    /// an operation that called [`Tx::publish_early`] wrote, which is not durable yet and may never
    /// be.
    ///
    /// Use it only if the caller's own operation checks that the value still holds. That operation
    /// comes later in the same log, so it is not durable without the value that was read here.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub fn newest(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Value>, KvError> {
        self.read(table, key.as_ref(), Versions::newest)
    }

    fn read(
        &self,
        table: Table,
        key: &[u8],
        in_memory: impl FnOnce(&Versions, usize, &[u8]) -> Option<Option<sled::IVec>>,
    ) -> Result<Option<Value>, KvError> {
        let read = || {
            let slot = self.shared.index.slot(table.id)?;
            // A caller that reads two keys must not see only the first key of a group that is half
            // in the index. The index handles are taken after the lookup in memory: the index has
            // every key that memory does not have, even if a rewritten index has just replaced the
            // old one.
            let sealed = match in_memory(&self.shared.versions, slot, key) {
                Some(sealed) => sealed,
                None => self.shared.index.reading()?.sealed(slot, key)?,
            };
            sealed.map(|sealed| checksum::unseal(table, key, &sealed)).transpose()
        };
        read().map_err(|error| self.shared.noted(error))
    }

    /// Returns the first `limit` records of a range in key order, or the last ones from the end if
    /// `reverse`, as of one group.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub fn scan(
        &self,
        table: Table,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        self.view().scan(table, span, reverse, limit)
    }

    /// Returns a snapshot of the store after the last group.
    #[must_use]
    pub fn view(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.shared))
    }

    /// Runs several reads on one snapshot, so that they never see half a group. No commit waits for
    /// them.
    ///
    /// # Errors
    /// The error of `reads`.
    pub fn snapshot_read<T, E>(&self, reads: impl FnOnce(&Snapshot) -> Result<T, E>) -> Result<T, E> {
        reads(&self.view())
    }

    /// Returns a receiver of the newest readable group, notified of each later one.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<CommitPosition> {
        self.shared.commits.subscribe()
    }

    /// Number of log syncs since the store was opened: one per group.
    #[must_use]
    pub fn sync_count(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// Number of records in a table after the last group; zero for a table that the store was not
    /// opened with.
    #[must_use]
    pub fn count(&self, table: Table) -> u64 {
        let slot = self.shared.config.tables.iter().position(|known| known.id == table.id);
        slot.and_then(|slot| self.shared.versions.durable().sums.get(slot).map(|sum| sum.count)).unwrap_or_default()
    }

    /// Reports whether the store accepts writes.
    #[must_use]
    pub fn health(&self) -> KvHealth {
        self.shared.health()
    }

    /// Reads and verifies every record while commits continue. It rests three times as long as it
    /// works. Blocks until it is done: run it on a thread for blocking work.
    ///
    /// # Errors
    /// [`KvError::Damaged`], which makes the store read-only; [`KvError::Closed`] if the store
    /// closes during the scrub.
    pub fn scrub(&self) -> Result<ScrubResult, KvError> {
        scrub::run(&self.shared, ScanPriority::Background).map_err(|error| self.shared.noted(error))
    }

    /// Takes the result of the scrub that followed an unclean shutdown. Returns it once.
    #[must_use]
    pub fn take_scrub(&self) -> Option<ScrubResult> {
        self.shared.unclaimed_scrub.lock().take()
    }

    /// Rewrites the index while commits continue, so that it takes no more disk space than its
    /// records need. Blocks until it is done. The store does this by itself if the index is larger
    /// than [`KvConfig::rewrite_from_bytes`] and than three times its records.
    ///
    /// # Errors
    /// [`KvError::DiskFull`] if the disk has no space for both indexes; [`KvError::Closed`] if the
    /// store closes; [`KvError::Damaged`] if a record fails its checksum; [`KvError::Io`]. After an
    /// error the store still uses the old index.
    pub fn rewrite_index(&self) -> Result<(), KvError> {
        rewrite::run(&self.shared, ScanPriority::Foreground)
    }

    /// Returns the disk space that the index takes.
    #[must_use]
    pub fn space(&self) -> IndexSpace {
        let config = &self.shared.config;
        IndexSpace {
            live_bytes: self.shared.space.live_bytes(&self.shared.versions.durable()),
            used_bytes: index::size(&self.shared.index.folder()),
            free_bytes: config.disk.free_space(&config.dir).ok(),
            reserve_bytes: config.reserve_bytes,
        }
    }

    /// Makes a checkpoint. Blocks until it is durable.
    ///
    /// # Errors
    /// [`KvError::Io`] or [`KvError::Damaged`] if the index refuses; the log keeps everything.
    pub fn checkpoint(&self) -> Result<(), KvError> {
        super::checkpoint::make(&self.shared)
    }

    /// Reports damage outside the tables, in a file that the tables name. The store becomes
    /// read-only.
    pub fn found_damaged(&self, what: impl Into<String>) {
        self.shared.stop(KvError::damaged(what.into()));
    }

    /// Whether the store refuses writes until it is opened again.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared.stopped().is_some()
    }

    /// Returns a handle that does not keep the store open.
    #[must_use]
    pub fn downgrade(&self) -> WeakKv {
        WeakKv { queue: self.queue.downgrade(), shared: Arc::downgrade(&self.shared) }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<KvState> {
        &self.shared
    }

    /// Closes the store: commits the operations queued before, makes a last checkpoint and unlocks
    /// the folder.
    ///
    /// # Errors
    /// [`KvError::Closed`] if it was already closed; otherwise the reason why the shutdown was not
    /// clean. The next opening recovers from that.
    pub async fn close(&self) -> Result<(), KvError> {
        let (done, ended) = oneshot::channel();
        self.queue.send(Job::Close(done)).await.map_err(|_| KvError::Closed)?;
        ended.await.map_err(|_| KvError::Closed)?
    }
}

/// A handle to a store that may have closed because the last [`Kv`] was dropped.
#[derive(Clone)]
pub struct WeakKv {
    queue: mpsc::WeakSender<Job>,
    shared: Weak<KvState>,
}

impl WeakKv {
    /// Returns the store if it is still open.
    #[must_use]
    pub fn upgrade(&self) -> Option<Kv> {
        Some(Kv { queue: self.queue.upgrade()?, shared: self.shared.upgrade()? })
    }
}

impl std::fmt::Debug for WeakKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakKv").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kv").field("dir", &self.shared.config.dir).finish_non_exhaustive()
    }
}
