//! The committer: one thread that takes what is queued, runs it, makes it durable with one fdatasync, answers, and then
//! puts it into the index, while those who were answered prepare what comes next. No timer adds latency.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidemill_core::gate;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint;
use super::error::{KvError, SubmitError};
use super::group::{Group, Tx};
use super::index::{self, Fault, Reading};
use super::log::{AppendError, CommitLog, LogEnd};
use super::quiet;
use super::record::RecordBuffer;
use super::replay::Replay;
use super::shared::{Commit, Shared};
use super::stop;
use super::sums::TableSum;
use super::versions::{Changes, Layer, Standing};

/// A group takes no more operations when it has this many, or this many bytes.
const OPERATIONS: usize = 1024;
const BYTES: u64 = 8 << 20;
/// How often an index that refused is opened again before the store becomes read-only, and the pause between, growing.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// How often an ending is looked for.
const MOMENT: Duration = Duration::from_millis(1);

/// What waits for the committer.
pub(super) enum Job {
    /// An operation.
    Run(Box<dyn Operation>),
    /// The end of the store, and who waits for it.
    Close(oneshot::Sender<Result<(), KvError>>),
}

/// An operation with the way to answer it.
pub(super) trait Operation: Send {
    /// Runs it. The answer is given when the group is durable.
    fn run(self: Box<Self>, group: &mut Group<'_>) -> Box<dyn Answer>;
    /// Answers without running it.
    fn refuse(self: Box<Self>, error: KvError);
}

/// An answer that waits for its group.
pub(super) trait Answer {
    /// Gives it, or the store's failure instead.
    fn give(self: Box<Self>, stored: Result<(), KvError>);
}

/// An operation as submitted.
pub(super) struct Submitted<F, T, E> {
    pub operation: F,
    pub answer: oneshot::Sender<Result<T, SubmitError<E>>>,
}

struct Answered<T, E> {
    result: Result<T, SubmitError<E>>,
    answer: oneshot::Sender<Result<T, SubmitError<E>>>,
}

impl<F, T, E> Operation for Submitted<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn run(self: Box<Self>, group: &mut Group<'_>) -> Box<dyn Answer> {
        let Self { operation, answer } = *self;
        let ran = panic::catch_unwind(AssertUnwindSafe(|| group.run(operation, Result::is_ok)));
        let result = match ran {
            Ok(result) => result.map_err(SubmitError::Refused),
            Err(panicked) => Err(SubmitError::Panicked(quiet::message(&*panicked))),
        };
        Box::new(Answered { result, answer })
    }

    fn refuse(self: Box<Self>, error: KvError) {
        // Whoever asked may have left.
        let _ = self.answer.send(Err(SubmitError::Store(error)));
    }
}

impl<T, E> Answer for Answered<T, E> {
    fn give(self: Box<Self>, stored: Result<(), KvError>) {
        let result = match stored {
            Ok(()) => self.result,
            Err(error) => Err(SubmitError::Store(error)),
        };
        let _ = self.answer.send(result);
    }
}

/// The committer's own state.
pub(super) struct Committer {
    shared: Arc<Shared>,
    log: CommitLog,
    record: RecordBuffer,
    queue: mpsc::Receiver<Job>,
    waiting: VecDeque<Job>,
    closing: Vec<oneshot::Sender<Result<(), KvError>>>,
    checkpoints: Option<JoinHandle<()>>,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, log: CommitLog, queue: mpsc::Receiver<Job>, checkpoints: JoinHandle<()>) -> Self {
        Self {
            shared,
            log,
            record: RecordBuffer::default(),
            queue,
            waiting: VecDeque::new(),
            closing: Vec::new(),
            checkpoints: Some(checkpoints),
        }
    }

    /// Commits until the store is closed or nobody can submit any more.
    pub fn run(mut self) {
        let mut taken = Vec::new();
        while self.closing.is_empty() {
            if self.waiting.is_empty() {
                if self.queue.blocking_recv_many(&mut taken, OPERATIONS) == 0 {
                    break;
                }
                self.waiting.extend(taken.drain(..));
            }
            self.group();
        }
        self.close();
    }

    fn group(&mut self) {
        let ready = match self.shared.stopped() {
            Some(error) => Err(error),
            None => self.shared.room().and_then(|()| self.heal_if_faulted()),
        };
        let shared = Arc::clone(&self.shared);
        match ready.and_then(|()| shared.index.reading()) {
            Ok(reading) => self.commit(reading),
            Err(error) => self.refuse_waiting(&error),
        }
    }

    fn commit(&mut self, reading: Reading<'_>) {
        let before = self.shared.versions.durable();
        let mut group = Group::new(&reading, before.end.position);
        let mut answers: Vec<Box<dyn Answer>> = Vec::new();
        while answers.len() < OPERATIONS && group.bytes() < BYTES {
            match self.waiting.pop_front().or_else(|| self.queue.try_recv().ok()) {
                Some(Job::Run(operation)) => answers.push(operation.run(&mut group)),
                Some(Job::Close(done)) => {
                    self.closing.push(done);
                    break;
                }
                None => break,
            }
        }
        if let Some(damage) = group.take_damage() {
            self.shared.stop(damage);
        }
        let stored = if group.wrote() {
            let position = group.position();
            let changes = group.into_changes();
            self.make_durable(&reading, before, changes, position).map(Some)
        } else {
            Ok(None)
        };
        let told = stored.as_ref().map(drop).map_err(KvError::clone);
        for answer in answers {
            answer.give(told.clone());
        }
        if let Ok(Some(layer)) = stored {
            self.put_into_index(reading, &layer);
            self.shared.pace.grew(self.record.length(), self.shared.config.checkpoint_bytes);
        }
    }

    /// Appends the group to the log; from then on it can be read.
    fn make_durable(
        &mut self,
        reading: &Reading<'_>,
        before: Standing,
        changes: Changes,
        position: u64,
    ) -> Result<Arc<Layer>, KvError> {
        let tables = reading.tables();
        let mut sums: Vec<TableSum> = before.sums.to_vec();
        for (sum, changes) in sums.iter_mut().zip(&changes) {
            *sum = changes.values().fold(*sum, |sum, change| change.applied_to(sum));
        }
        let touched: Vec<_> = tables
            .iter()
            .zip(&sums)
            .zip(&changes)
            .filter(|(_, changes)| !changes.is_empty())
            .map(|((table, sum), _)| (table.id, *sum))
            .collect();
        self.record.begin(touched.into_iter());
        for (table, changes) in tables.iter().zip(&changes) {
            for (key, change) in changes {
                self.record.write(table.id, key, change.after.as_deref());
            }
        }
        let end = self.append(position)?;
        let layer = self.shared.versions.publish(Standing { end, sums: sums.into() }, changes);
        self.shared.commits.send_replace(Commit { group: end.generation, position });
        Ok(layer)
    }

    /// Puts a durable group into the index. Where the index cannot be made to take it, the store is read-only, and what the log holds is
    /// found at the next opening.
    fn put_into_index(&mut self, reading: Reading<'_>, layer: &Layer) {
        let written =
            layer.changes().iter().enumerate().try_for_each(|(slot, changes)| reading.write_all(slot, changes));
        drop(reading);
        if let Err(fault) = written
            && self.heal(&fault).is_err()
        {
            return;
        }
        self.shared.versions.indexed_all();
        gate::pass("store/inserted");
    }

    fn append(&mut self, position: u64) -> Result<LogEnd, KvError> {
        self.log.append(&mut self.record, position).map_err(|failed| match failed {
            AppendError::NotBegun(error) if error.kind() == io::ErrorKind::StorageFull => {
                KvError::DiskFull { free: 0, needed: self.record.length() }
            }
            AppendError::NotBegun(error) => KvError::io("a log segment could not be made", &error),
            AppendError::Lost(error) => {
                let error = KvError::ReadOnly { why: format!("the log could not be made durable: {error}") };
                self.shared.stop(error.clone());
                error
            }
        })
    }

    fn heal_if_faulted(&mut self) -> Result<(), KvError> {
        if self.shared.faulted.load(Ordering::Acquire) {
            return self.heal(&Fault::Io("it refused a flush".to_owned()));
        }
        Ok(())
    }

    /// Opens the index again and brings it up to the end of the log. What was appended is durable already.
    fn heal(&mut self, fault: &Fault) -> Result<(), KvError> {
        tracing::warn!(?fault, "the index refused; it is opened again and the log replayed");
        let mut pause = PAUSE;
        let mut last = KvError::Closed;
        for _ in 0..TRIES {
            match self.reopen() {
                Ok(()) => {
                    self.shared.faulted.store(false, Ordering::Release);
                    return Ok(());
                }
                Err(error @ KvError::Damaged { .. }) => {
                    last = error;
                    break;
                }
                Err(error) => last = error,
            }
            thread::sleep(pause);
            pause *= 3;
        }
        let why = match last {
            damaged @ KvError::Damaged { .. } => damaged,
            other => KvError::ReadOnly { why: format!("the index could not be opened again: {other}") },
        };
        self.shared.stop(why.clone());
        Err(why)
    }

    fn reopen(&self) -> Result<(), KvError> {
        let config = &self.shared.config;
        let timeout = super::open::index_timeout(config);
        let checkpointed = self.shared.lock_checkpointed_within(timeout)?;
        let replay = Replay::verify(Arc::clone(&config.disk), &config.dir, self.shared.seed, &checkpointed.point)?;
        if replay.end().generation != self.log.end().generation {
            return Err(KvError::damaged("the log does not hold what was just written to it"));
        }
        self.shared.index.reopen(&config.dir, config.index_cache_bytes, timeout, |reading| {
            super::open::bring_up(reading, &replay, checkpointed.point.generation)
        })
    }

    fn refuse_waiting(&mut self, error: &KvError) {
        // Not what is queued meanwhile: the cause may be gone by then.
        for job in self.waiting.drain(..) {
            match job {
                Job::Run(operation) => operation.refuse(error.clone()),
                Job::Close(done) => self.closing.push(done),
            }
        }
    }

    fn close(mut self) {
        self.queue.close();
        while let Some(job) = self.queue.blocking_recv() {
            self.waiting.push_back(job);
        }
        self.refuse_waiting(&KvError::Closed);
        self.shared.closing.store(true, Ordering::Release);
        self.shared.pace.stop();
        let result = self.finish();
        self.shared.shelf.close();
        self.shared.unlock();
        for done in self.closing {
            let _ = done.send(result.clone());
        }
    }

    /// The last checkpoint and, where all is well, the list of a clean stop.
    fn finish(&mut self) -> Result<(), KvError> {
        let shared = &self.shared;
        // A checkpoint that is under way ends first, unless it hangs in the index.
        let patience = super::open::index_timeout(&shared.config);
        let joined = self.checkpoints.take().is_none_or(|thread| join_within(thread, patience));
        let sound = joined && shared.stopped().is_none() && !shared.faulted.load(Ordering::Acquire);
        let checkpointed = if sound { checkpoint::make(shared) } else { Ok(()) };
        if !shared.index.close(patience) {
            return Err(KvError::Io { what: "closing the index".to_owned(), message: "it took too long".to_owned() });
        }
        checkpointed?;
        if let Some(why) = shared.stopped() {
            return Err(why);
        }
        let config = &shared.config;
        if sound && index::size(&config.dir) <= config.seal_at_close_bytes {
            stop::write(&*config.disk, &config.dir, shared.seed)
                .map_err(|error| KvError::io("the list of a clean stop could not be written", &error))?;
        }
        Ok(())
    }
}

/// Waits for a thread, but not for ever.
fn join_within(thread: JoinHandle<()>, patience: Duration) -> bool {
    let mut waited = Duration::ZERO;
    while !thread.is_finished() && waited < patience {
        thread::sleep(MOMENT);
        waited += MOMENT;
    }
    thread.is_finished() && thread.join().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Kv, KvConfig, Table};
    use super::*;

    const RUNS: Table = Table { id: 1, name: "runs" };
    const TABLES: &[Table] = &[RUNS];

    fn kv(dir: &std::path::Path) -> Kv {
        let config = KvConfig {
            segment_bytes: 64 << 10,
            first_segment_bytes: 8 << 10,
            checkpoint_every: Duration::from_secs(3600),
            ..KvConfig::new(dir, TABLES)
        };
        Kv::open(config).unwrap().0
    }

    async fn add(kv: &Kv) -> u64 {
        let added = kv.submit(|tx: &mut Tx<'_>| {
            let before = tx.get(RUNS, "n")?.map_or(0, |v| u64::from_le_bytes(*v.first_chunk().unwrap()));
            tx.put(RUNS, before.to_be_bytes(), "x".repeat(300))?;
            tx.put(RUNS, "n", (before + 1).to_le_bytes())?;
            Ok::<_, KvError>(before + 1)
        });
        added.await.unwrap()
    }

    #[tokio::test]
    async fn an_index_that_refused_is_opened_again_and_misses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kv = kv(dir.path());
        let mut view = kv.view();
        for round in 1..=60 {
            if round % 12 == 7 {
                kv.shared().faulted.store(true, Ordering::Release);
            }
            if round % 20 == 10 {
                kv.checkpoint().unwrap();
            }
            assert_eq!(add(&kv).await, round);
            assert_eq!(view.commit().position, round - 1);
            assert_eq!(view.get(RUNS, (round - 1).to_be_bytes()).unwrap(), None, "a view of before");
            view = kv.view();
        }
        drop(view);
        assert_eq!(kv.scrub().unwrap().records, 61);
        kv.close().await.unwrap();
    }
}
