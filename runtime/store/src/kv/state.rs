//! State that the threads of an open store share: index, versions, health and checkpoint pace.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};

use super::catch_panic;
use super::config::KvConfig;
use super::error::{KvError, KvHealth};
use super::index::Index;
use super::lock::Lock;
use crate::kv::commit::job::Job;
use crate::kv::commit::mvcc::Versions;
use crate::kv::index::space::{ScrubResult, SpaceTracker};
use crate::kv::index::spare_files::SpareFiles;
use crate::kv::log::header::{HeaderFile, LogPoint};
use crate::kv::log::spare_segments::SpareSegments;

/// The newest readable group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitPosition {
    /// The group's number.
    pub group: u64,
    /// The position of the group's last operation.
    pub position: u64,
}

/// The last checkpoint and the open header file.
pub(super) struct LastCheckpoint {
    pub anchor: HeaderFile,
    pub point: LogPoint,
    /// Blob files of the index that are durable.
    pub synced: HashSet<PathBuf>,
}

/// The shared state of an open store.
pub(super) struct KvState {
    pub config: KvConfig,
    pub seed: u64,
    pub index: Index,
    pub versions: Arc<Versions>,
    pub commits: watch::Sender<CommitPosition>,
    pub syncs: Arc<AtomicU64>,
    pub checkpointed: Mutex<LastCheckpoint>,
    pub spare_segments: Arc<SpareSegments>,
    pub pace: CheckpointPace,
    pub space: SpaceTracker,
    /// Held while a group is written to the index, and while another index replaces it.
    inserting: Mutex<()>,
    /// The index refused a call; it is reopened before the next group.
    pub faulted: AtomicBool,
    pub closing: AtomicBool,
    /// The result of the scrub after an unclean shutdown, until a caller takes it.
    pub unclaimed_scrub: Mutex<Option<ScrubResult>>,
    pub spares: SpareFiles,
    /// The committer's queue, for threads that find the index faulted.
    committer: OnceLock<mpsc::WeakSender<Job>>,
    lock: Mutex<Option<Lock>>,
    stopped: Mutex<Option<KvError>>,
    full: Mutex<Option<KvError>>,
}

impl KvState {
    #[expect(clippy::too_many_arguments, reason = "called once, where the store opens")]
    pub fn new(
        config: KvConfig,
        seed: u64,
        index: Index,
        versions: Versions,
        checkpointed: LastCheckpoint,
        spare_segments: Arc<SpareSegments>,
        syncs: Arc<AtomicU64>,
        replayed: u64,
        lock: Lock,
    ) -> Self {
        let end = versions.durable().end;
        let commit = CommitPosition { group: end.generation, position: end.position };
        Self {
            seed,
            index,
            versions: Arc::new(versions),
            commits: watch::Sender::new(commit),
            syncs,
            checkpointed: Mutex::new(checkpointed),
            spare_segments,
            pace: CheckpointPace::new(replayed),
            space: SpaceTracker::default(),
            inserting: Mutex::new(()),
            faulted: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            unclaimed_scrub: Mutex::new(None),
            spares: SpareFiles::open(),
            committer: OnceLock::new(),
            lock: Mutex::new(Some(lock)),
            stopped: Mutex::new(None),
            full: Mutex::new(None),
            config,
        }
    }

    /// Sets the queue through which the committer is woken.
    pub fn set_committer(&self, committer: mpsc::WeakSender<Job>) {
        // It is set only once, when the store opens.
        let _ = self.committer.set(committer);
    }

    /// Makes the committer check the index even if no operation is submitted.
    pub fn wake_committer(&self) {
        if let Some(committer) = self.committer.get().and_then(mpsc::WeakSender::upgrade) {
            // A full queue wakes the committer too.
            let _ = committer.try_send(Job::Heal);
        }
    }

    pub fn lock_checkpointed(&self) -> MutexGuard<'_, LastCheckpoint> {
        self.checkpointed.lock()
    }

    pub fn lock_inserting(&self) -> MutexGuard<'_, ()> {
        self.inserting.lock()
    }

    /// Like [`KvState::lock_checkpointed`], but fails after `patience`, because a checkpoint may
    /// hang in the index.
    pub fn lock_checkpointed_within(&self, patience: Duration) -> Result<MutexGuard<'_, LastCheckpoint>, KvError> {
        self.checkpointed.try_lock_for(patience).ok_or_else(|| {
            let message = "a checkpoint hangs in the index".to_owned();
            KvError::Io { what: "the index".to_owned(), message }
        })
    }

    /// Stores the result of a scrub that no caller waits for.
    pub fn scrubbed(&self, found: ScrubResult) {
        *self.unclaimed_scrub.lock() = Some(found);
    }

    /// Releases the lock on the data folder.
    pub fn unlock(&self) {
        self.lock.lock().take();
    }

    /// Runs one of the store's threads. A panic in it is a bug and makes the store read-only.
    pub fn guard(&self, name: &str, work: impl FnOnce()) {
        if let Err(panicked) = panic::catch_unwind(AssertUnwindSafe(work)) {
            self.stop(KvError::ReadOnly { why: format!("{name} failed: {}", catch_panic::panic_message(&*panicked)) });
        }
    }

    /// Makes the store read-only. Only the first cause is kept.
    pub fn stop(&self, why: KvError) {
        let mut stopped = self.stopped.lock();
        if stopped.is_none() {
            tracing::error!(code = why.code(), %why, "the store became read-only");
            *stopped = Some(why);
        }
    }

    /// Returns why the store is read-only, if it is.
    pub fn stopped(&self) -> Option<KvError> {
        self.stopped.lock().clone()
    }

    /// Returns `error`; if it is damage, makes the store read-only.
    pub fn noted(&self, error: KvError) -> KvError {
        if matches!(error, KvError::Damaged { .. }) {
            self.stop(error.clone());
        }
        error
    }

    /// Checks that the disk has enough free space for a group and for what sled may write because
    /// of it.
    pub fn room(&self) -> Result<(), KvError> {
        let needed = self.config.reserve_bytes + 4 * self.pace.backlog();
        let result = match self.config.disk.free_space(&self.config.dir) {
            Ok(free) if free > needed => Ok(()),
            Ok(free) => Err(KvError::DiskFull { free, needed }),
            Err(error) => Err(KvError::io("reading the free disk space", &error)),
        };
        let mut full = self.full.lock();
        if full.is_none()
            && let Err(error) = &result
        {
            tracing::warn!(code = error.code(), %error, "writes are refused");
        }
        *full = result.clone().err();
        result
    }

    /// Returns the store's health now.
    pub fn health(&self) -> KvHealth {
        if let Some(why) = self.stopped() {
            let code = if matches!(why, KvError::Damaged { .. }) { why.code() } else { "host/store-read-only" };
            return KvHealth::ReadOnly { code, why: why.to_string() };
        }
        let was_full = self.full.lock().is_some();
        match if was_full { self.room() } else { Ok(()) } {
            Ok(()) => KvHealth::Healthy,
            Err(error) => KvHealth::DiskFull { error },
        }
    }
}

/// Decides when the next checkpoint is due. No thread waits on a timer while there is nothing to
/// checkpoint.
pub(super) struct CheckpointPace {
    state: Mutex<PaceState>,
    changed: Condvar,
    appended: AtomicU64,
    checkpointed: AtomicU64,
}

#[derive(Default)]
struct PaceState {
    dirty: bool,
    full: bool,
    stop: bool,
}

impl CheckpointPace {
    fn new(replayed: u64) -> Self {
        Self {
            state: Mutex::new(PaceState { dirty: replayed > 0, ..PaceState::default() }),
            changed: Condvar::new(),
            appended: AtomicU64::new(replayed),
            checkpointed: AtomicU64::new(0),
        }
    }

    /// Bytes of the log that are not in a checkpoint yet.
    pub fn backlog(&self) -> u64 {
        self.appended.load(Ordering::Relaxed).saturating_sub(self.checkpointed.load(Ordering::Relaxed))
    }

    /// Records that the log has grown by `bytes`. If `bound` is reached, a checkpoint is due at
    /// once.
    pub fn grew(&self, bytes: u64, bound: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
        let full = self.backlog() >= bound;
        let mut state = self.lock();
        if !state.dirty || (full && !state.full) {
            state.dirty = true;
            state.full = full;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Bytes appended so far. A checkpoint reads this number when it begins.
    pub fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Records that the checkpoint that began at `appended` bytes is complete.
    pub fn caught_up(&self, appended: u64) {
        self.checkpointed.fetch_max(appended, Ordering::Relaxed);
    }

    /// Waits until a checkpoint is due. Returns false if the thread is to end.
    pub fn wait(&self, every: Duration) -> bool {
        let mut state = self.lock();
        self.changed.wait_while(&mut state, |s| !s.dirty && !s.stop);
        self.changed.wait_while_for(&mut state, |s| !s.full && !s.stop, every);
        state.dirty = false;
        state.full = false;
        !state.stop
    }

    /// Ends the thread that waits for checkpoints.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, PaceState> {
        self.state.lock()
    }
}
