//! The embedded store's front: submit operations, read what was committed, see how it is, close it.

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
use super::scrub::{self, ScanPriority, ScrubResult};
use super::snapshot::Snapshot;
use super::state::{CommitPosition, KvState};
use crate::kv::commit::batch::Tx;
use crate::kv::commit::committer::{Job, SubmittedOperation};
use crate::kv::commit::mvcc::Versions;
use crate::kv::index::rewrite;
use crate::kv::index::rewrite::IndexSpace;

/// An open store. A clone is another handle on the same; when the last is dropped, it closes by itself.
#[derive(Clone)]
pub struct Kv {
    queue: mpsc::Sender<Job>,
    shared: Arc<KvState>,
}

impl Kv {
    /// Opens the store of `config.dir`, making it where the folder is missing or empty. Blocks for the time
    /// that takes: milliseconds, and longer after a crash.
    ///
    /// # Errors
    /// [`KvError::Locked`] where another process has it; [`KvError::Damaged`] where it is not what was
    /// acknowledged; [`KvError::Io`].
    pub fn open(config: KvConfig) -> Result<(Self, OpenReport), KvError> {
        let (queue, shared, report) = open::open(config)?;
        Ok((Self { queue, shared }, report))
    }

    /// Runs `operation` in the committer's thread, one after another with all others, on the newest state. It
    /// must be quick and must not block: everyone waits for it.
    ///
    /// The future ends when the group is durable and readable, or with the operation's refusal, which writes
    /// nothing. The operation is queued when the future is first polled; dropped later, it still runs.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] with what the operation answered, [`SubmitError::Panicked`],
    /// or [`SubmitError::Store`]. After [`KvError::DiskFull`] nothing was written. After
    /// [`KvError::ReadOnly`] it is unknown until the store is opened again.
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

    /// The value of a key, as last committed.
    ///
    /// # Errors
    /// [`KvError::Damaged`] where it fails its checksum, which makes the store read-only; [`KvError::Io`] and [`KvError::Closed`].
    pub fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Value>, KvError> {
        self.read(table, key.as_ref(), Versions::unindexed)
    }

    /// The value of a key as the next operation will most likely find it: what an operation that handed its turn on
    /// ([`Tx::hand_on`]) wrote is in it before it is durable, and may never be. Only for those whose own operation checks
    /// that it still holds: that one comes later in the same log, so it is not durable without what was read here.
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
            // Who reads one key and then another must not see only the first of a group that is half in the index. The index
            // is taken after that look: it has all that is not in memory, though another may just have taken its place.
            let sealed = match in_memory(&self.shared.versions, slot, key) {
                Some(sealed) => sealed,
                None => self.shared.index.reading()?.sealed(slot, key)?,
            };
            sealed.map(|sealed| checksum::unseal(table, key, &sealed)).transpose()
        };
        read().map_err(|error| self.shared.noted(error))
    }

    /// The first `limit` records of a span in the order of their keys, or the last ones from the end where
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

    /// The store as of the last group, for as long as the view is held.
    #[must_use]
    pub fn view(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.shared))
    }

    /// Several reads that never see half a group. No commit waits for them.
    ///
    /// # Errors
    /// What `reads` answers.
    pub fn snapshot_read<T, E>(&self, reads: impl FnOnce(&Snapshot) -> Result<T, E>) -> Result<T, E> {
        reads(&self.view())
    }

    /// The newest group that can be read, and word of each that follows.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<CommitPosition> {
        self.shared.commits.subscribe()
    }

    /// How many times the log was made durable since the store was opened: once for each group.
    #[must_use]
    pub fn sync_count(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// How many records a table has, as of the last group; none for a table that the store was not opened with.
    #[must_use]
    pub fn count(&self, table: Table) -> u64 {
        let slot = self.shared.config.tables.iter().position(|known| known.id == table.id);
        slot.and_then(|slot| self.shared.versions.durable().sums.get(slot).map(|sum| sum.count)).unwrap_or_default()
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> KvHealth {
        self.shared.health()
    }

    /// Reads and verifies every record, beside commits, resting three times as long as it works. Blocks for as long as that
    /// takes: run it on a thread for blocking work.
    ///
    /// # Errors
    /// [`KvError::Damaged`], which makes the store read-only; [`KvError::Closed`] where the store closes meanwhile.
    pub fn scrub(&self) -> Result<ScrubResult, KvError> {
        scrub::run(&self.shared, ScanPriority::Background).map_err(|error| self.shared.noted(error))
    }

    /// Takes what a scrub after an unclean stop found to be sound, once.
    #[must_use]
    pub fn take_scrub(&self) -> Option<ScrubResult> {
        self.shared.unclaimed_scrub.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Writes the index anew, so that it takes no more room than its records need, beside commits. Blocks for as long as that
    /// takes. It happens by itself when the index is larger than [`KvConfig::rewrite_from_bytes`] and three times its records.
    ///
    /// # Errors
    /// [`KvError::DiskFull`] if there is no room for both; [`KvError::Closed`] if the store closes; [`KvError::Damaged`] if a
    /// record is not what was written; [`KvError::Io`]. The index is the old one then.
    pub fn rewrite_index(&self) -> Result<(), KvError> {
        rewrite::run(&self.shared, ScanPriority::Foreground)
    }

    /// How much room the index takes.
    #[must_use]
    pub fn space(&self) -> IndexSpace {
        IndexSpace {
            live_bytes: self.shared.space.live_bytes(&self.shared.versions.durable()),
            used_bytes: index::size(&self.shared.index.folder()),
        }
    }

    /// Makes a checkpoint now. Blocks until it is durable.
    ///
    /// # Errors
    /// [`KvError::Io`] or [`KvError::Damaged`] where the index refuses; the log keeps everything.
    pub fn checkpoint(&self) -> Result<(), KvError> {
        super::checkpoint::make(&self.shared)
    }

    /// Tells that something beside the tables, which they name, is not what was written: the store becomes read-only.
    pub fn found_damaged(&self, what: impl Into<String>) {
        self.shared.stop(KvError::damaged(what.into()));
    }

    /// Whether nothing is written any more until the store is opened again.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared.stopped().is_some()
    }

    /// A handle that does not keep the store open.
    #[must_use]
    pub fn downgrade(&self) -> WeakKv {
        WeakKv { queue: self.queue.downgrade(), shared: Arc::downgrade(&self.shared) }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<KvState> {
        &self.shared
    }

    /// Ends the store: what is queued before is committed, then a last checkpoint, then the folder is free.
    ///
    /// # Errors
    /// [`KvError::Closed`] where it was closed before; else why the stop was not a clean one, which the next
    /// opening makes up for.
    pub async fn close(&self) -> Result<(), KvError> {
        let (done, ended) = oneshot::channel();
        self.queue.send(Job::Close(done)).await.map_err(|_| KvError::Closed)?;
        ended.await.map_err(|_| KvError::Closed)?
    }
}

/// A handle on a store that may have been closed meanwhile because the last [`Kv`] was dropped.
#[derive(Clone)]
pub struct WeakKv {
    queue: mpsc::WeakSender<Job>,
    shared: Weak<KvState>,
}

impl WeakKv {
    /// The store, if somebody still has it open.
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
