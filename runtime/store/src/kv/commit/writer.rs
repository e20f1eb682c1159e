//! The writer: makes a group durable with one append and one fdatasync, answers its callers and
//! then writes it to the index. It works on the committer's thread, or on its own thread if later
//! operations execute on top of a group that is not durable yet.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::failpoint;
use tidemill_core::retry::Backoff;
use tokio::sync::oneshot;

use crate::kv::commit::job::Answer;
use crate::kv::commit::mvcc::{BatchChanges, BatchLayer, DurableState};
use crate::kv::error::KvError;
use crate::kv::index::{self, IndexFault, recovery};
use crate::kv::log::record::RecordBuffer;
use crate::kv::log::replay::Replay;
use crate::kv::log::{AppendError, CommitLog, LogEnd};
use crate::kv::state::{CommitPosition, KvState};
use crate::kv::table_checksum::TableSum;

/// Pause between two attempts to reopen an index while open files or memory are exhausted.
pub(in crate::kv) const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Maximum number of attempts to reopen a faulted index before the store becomes read-only.
const TRIES: u32 = 5;
/// The pauses between these attempts.
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(100), factor: 3, max: Duration::from_millis(8_100) };

/// A group that was executed and is not durable yet.
pub(in crate::kv) struct ExecutedBatch {
    pub changes: Arc<BatchChanges>,
    /// Whether the group wrote anything.
    pub wrote: bool,
    /// The position of the group's last operation.
    pub position: u64,
    pub answers: Vec<Box<dyn Answer>>,
}

impl ExecutedBatch {
    /// Answers every caller with a failure.
    pub fn fail(self, error: &KvError) {
        for answer in self.answers {
            answer.give(Err(error.clone()));
        }
    }
}

/// The log, with the state that is needed to write to it.
pub(in crate::kv) struct Writer {
    shared: Arc<KvState>,
    log: CommitLog,
    record: RecordBuffer,
    /// The last attempt to reopen the index that failed because files or memory were exhausted,
    /// with its error.
    exhausted: Option<(Stopwatch, KvError)>,
}

impl Writer {
    pub fn new(shared: Arc<KvState>, log: CommitLog) -> Self {
        Self { shared, log, record: RecordBuffer::default(), exhausted: None }
    }

    /// Whether the index waits to be reopened because files or memory are exhausted.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.is_some()
    }

    /// Makes a group durable, answers its callers and writes it to the index.
    ///
    /// # Errors
    /// The reason why the group is not durable. Its callers are not answered: the committer does
    /// that once it executes nothing on top of the group any more.
    pub fn write(&mut self, group: &mut ExecutedBatch) -> Result<(), KvError> {
        let changes = Arc::clone(&group.changes);
        let layer = group.wrote.then(|| self.make_durable(changes, group.position)).transpose()?;
        for answer in group.answers.drain(..) {
            answer.give(Ok(()));
        }
        if let Some(layer) = layer {
            self.put_into_index(&layer);
            self.shared.pace.grew(self.record.length(), self.shared.config.checkpoint_bytes);
        }
        Ok(())
    }

    /// Appends the group to the log and makes it readable.
    fn make_durable(&mut self, changes: Arc<BatchChanges>, position: u64) -> Result<Arc<BatchLayer>, KvError> {
        let tables = self.shared.index.tables();
        let before = self.shared.versions.durable();
        let mut sums: Vec<TableSum> = before.sums.to_vec();
        for (sum, changes) in sums.iter_mut().zip(&*changes) {
            *sum = changes.values().fold(*sum, |sum, change| change.applied_to(sum));
        }
        let touched: Vec<_> = tables
            .iter()
            .zip(&sums)
            .zip(&*changes)
            .filter(|(_, changes)| !changes.is_empty())
            .map(|((table, sum), _)| (table.id, *sum))
            .collect();
        self.record.begin(touched.into_iter());
        for (table, changes) in tables.iter().zip(&*changes) {
            for (key, change) in changes {
                self.record.write(table.id, key, change.after.as_deref());
            }
        }
        let end = self.append(position)?;
        let grown = changes.iter().flatten().map(|(key, change)| change.grown_bytes(key)).sum::<i64>();
        let durable = DurableState { end, sums: sums.into(), grown_bytes: before.grown_bytes + grown };
        let layer = self.shared.versions.publish(durable, changes);
        self.shared.commits.send_replace(CommitPosition { group: end.generation, position });
        Ok(layer)
    }

    /// Writes a durable group to the index. If the index cannot be made to take it, the store
    /// becomes read-only, and the next opening replays the log. If only files or memory are
    /// exhausted, the index is reopened later.
    fn put_into_index(&mut self, layer: &BatchLayer) {
        let inserting = self.shared.lock_inserting();
        // Without an index the store is closed or already read-only.
        let Ok(reading) = self.shared.index.reading() else { return };
        let written = self.shared.spares.lend(|| {
            layer.changes().iter().enumerate().try_for_each(|(slot, changes)| reading.write_all(slot, changes))
        });
        drop(reading);
        drop(inserting);
        if let Err(fault) = written {
            // Keep checkpoints from hanging in the faulted index.
            self.shared.faulted.store(true, Ordering::Release);
            if self.heal(&fault).is_err() {
                return;
            }
        }
        self.shared.versions.indexed_all();
        failpoint::hit("store/inserted");
    }

    fn append(&mut self, position: u64) -> Result<LogEnd, KvError> {
        self.log.append(&mut self.record, position).map_err(|failed| match failed {
            AppendError::NotBegun(error) if error.kind() == io::ErrorKind::StorageFull => {
                KvError::DiskFull { free: 0, needed: self.record.length() }
            }
            AppendError::NotBegun(error) => KvError::io("a log segment could not be created", &error),
            AppendError::Lost(error) => {
                let error = KvError::ReadOnly { why: format!("the log could not be made durable: {error}") };
                self.shared.stop(error.clone());
                error
            }
        })
    }

    /// Reopens the index if a checkpoint found it faulted.
    ///
    /// # Errors
    /// The reason why the index cannot be reopened. The store is read-only then, unless only files
    /// or memory are exhausted.
    pub fn heal_if_faulted(&mut self) -> Result<(), KvError> {
        if !self.shared.faulted.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((last, error)) = &self.exhausted
            && last.elapsed() < RETRY_PAUSE
        {
            return Err(error.clone());
        }
        self.heal(&IndexFault::Io("it refused a flush or could not be opened".to_owned()))
    }

    /// Reopens the index and replays the log into it. Appended groups are already durable. While
    /// files or memory are exhausted the index stays faulted, and the next group, or
    /// [`RETRY_PAUSE`], triggers another attempt.
    fn heal(&mut self, fault: &IndexFault) -> Result<(), KvError> {
        if self.exhausted.is_none() {
            tracing::warn!(?fault, "the index faulted; reopening it and replaying the log");
        }
        let mut last = KvError::Closed;
        for failures in 1..=TRIES {
            match self.reopen() {
                Ok(()) => {
                    self.shared.faulted.store(false, Ordering::Release);
                    self.shared.versions.indexed_all();
                    if self.exhausted.take().is_some() {
                        tracing::info!("the index was reopened");
                    }
                    return Ok(());
                }
                Err(error @ KvError::Exhausted { .. }) => {
                    if self.exhausted.is_none() {
                        tracing::warn!(code = error.code(), %error, "could not reopen the index; will retry");
                    }
                    self.shared.faulted.store(true, Ordering::Release);
                    self.exhausted = Some((Stopwatch::start(), error.clone()));
                    return Err(error);
                }
                Err(error @ KvError::Damaged { .. }) => {
                    last = error;
                    break;
                }
                Err(error) => last = error,
            }
            thread::sleep(BACKOFF.pause(failures));
        }
        let why = match last {
            damaged @ KvError::Damaged { .. } => damaged,
            other => KvError::ReadOnly { why: format!("the index could not be reopened: {other}") },
        };
        self.shared.stop(why.clone());
        Err(why)
    }

    fn reopen(&self) -> Result<(), KvError> {
        let config = &self.shared.config;
        let timeout = index::timeout(config, &self.shared.index.folder());
        let checkpointed = self.shared.lock_checkpointed_within(timeout)?;
        let replay = Replay::verify(Arc::clone(&config.disk), &config.dir, self.shared.seed, &checkpointed.point)?;
        if replay.end().generation != self.log.end().generation {
            return Err(KvError::damaged("the log does not hold what was just written to it"));
        }
        self.shared.index.reopen(config.index_cache_bytes, timeout, |reading| {
            recovery::apply(reading, &replay, checkpointed.point.generation)
        })
    }
}

/// The writer's own thread, used while operations execute on top of a group that is not durable
/// yet.
pub(in crate::kv) struct WriterThread(mpsc::Sender<WriterTask>);

/// A group to write, the writer, and the channel that returns the writer.
struct WriterTask {
    writer: Box<Writer>,
    group: ExecutedBatch,
    back: oneshot::Sender<WriterReturn>,
}

/// The writer after its task, with the group and the result of the write.
pub(in crate::kv) struct WriterReturn {
    pub writer: Box<Writer>,
    pub group: ExecutedBatch,
    pub written: Result<(), KvError>,
}

impl WriterThread {
    pub fn start(shared: &Arc<KvState>) -> io::Result<Self> {
        let (tasks, taken) = mpsc::channel::<WriterTask>();
        let shared = Arc::clone(shared);
        thread::Builder::new().name("tidemill-writer".to_owned()).spawn(move || {
            shared.guard("the log writer", || {
                while let Ok(WriterTask { mut writer, mut group, back }) = taken.recv() {
                    let written = writer.write(&mut group);
                    // The committer receives it, unless it has panicked.
                    let _ = back.send(WriterReturn { writer, group, written });
                }
            });
        })?;
        Ok(Self(tasks))
    }

    /// Writes a group. The writer is returned when the group is in the index. It is not returned if
    /// the thread has failed, which makes the store read-only.
    pub fn write(&self, writer: Box<Writer>, group: ExecutedBatch) -> oneshot::Receiver<WriterReturn> {
        let (back, returned) = oneshot::channel();
        // A failed thread drops the task, and the callers are answered that the store is closed.
        let _ = self.0.send(WriterTask { writer, group, back });
        returned
    }
}
