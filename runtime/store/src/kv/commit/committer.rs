//! The committer: one thread that takes queued operations, executes them as a group, makes the
//! group durable with one fdatasync, answers the callers and writes the group to the index. While
//! it does, the answered callers prepare their next operations. No timer adds latency.
//!
//! **Values that are visible before they are durable.** Runs that change the same key would each
//! wait for a sync. So an operation may call
//! [`Tx::publish_early`](crate::kv::Tx::publish_early): its writes are visible at once to callers
//! of [`Kv::newest`](crate::kv::Kv::newest), and its group is written on the writer's thread while
//! the next operations execute on top of it.
//!
//! Example: run A reads 4 and writes 5, and A's group is being synced. Run B reads 5, which is not
//! durable, and writes 6. B executes on top of A's group and comes after it in the log. If A's
//! group cannot be made durable, B fails too, and the next reader sees 4.
//!
//! Invariants:
//!
//! - At most one group is being written and one is being executed, and they are written in that
//!   order.
//! - No caller is answered before its own group, and with it every earlier group, is durable.
//! - If a group fails, the group that was executed on top of it fails with the same error, and the
//!   visible values of both are discarded. Their positions are never reused: a later operation that
//!   checks a version read from them refuses.
//! - The callers of a failed group are answered after that, so an operation that a caller submits
//!   once it knows of the failure does not share it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::kv::commit::batch::Batch;
use crate::kv::commit::job::{Answer, Job};
use crate::kv::commit::writer::{ExecutedBatch, RETRY_PAUSE, Writer, WriterReturn, WriterThread};
use crate::kv::error::KvError;
use crate::kv::index::{self, IndexReader};
use crate::kv::log::CommitLog;
use crate::kv::state::KvState;
use crate::kv::{checkpoint, clean_shutdown};

/// Maximum number of operations in a group. A group is also full at [`BYTES`].
const OPERATIONS: usize = 1024;
/// Size of a group, in bytes of keys and values, at which it takes no more operations.
const BYTES: u64 = 8 << 20;
/// Polling interval while waiting for a job or for a thread to end.
const MOMENT: Duration = Duration::from_millis(1);

/// The committer's own state.
pub(in crate::kv) struct Committer {
    shared: Arc<KvState>,
    /// `None` if the writer was lost with its thread, which makes the store read-only.
    writer: Option<Box<Writer>>,
    thread: Option<WriterThread>,
    /// The last position given to an operation.
    position: u64,
    queue: mpsc::Receiver<Job>,
    waiting: VecDeque<Job>,
    closing: Vec<oneshot::Sender<Result<(), KvError>>>,
    checkpoints: Option<JoinHandle<()>>,
}

/// A group that is being executed.
struct OpenBatch {
    group: Batch,
    answers: Vec<Box<dyn Answer>>,
}

/// The event that ended a wait.
enum CommitterEvent {
    /// A job arrived; `None` if the queue is closed.
    Job(Option<Job>),
    /// The previous group was written; `None` if the writer is lost.
    Written(Option<WriterReturn>),
}

impl Committer {
    pub fn new(shared: Arc<KvState>, log: CommitLog, queue: mpsc::Receiver<Job>, checkpoints: JoinHandle<()>) -> Self {
        Self {
            position: shared.versions.durable().end.position,
            writer: Some(Box::new(Writer::new(Arc::clone(&shared), log))),
            thread: None,
            shared,
            queue,
            waiting: VecDeque::new(),
            closing: Vec::new(),
            checkpoints: Some(checkpoints),
        }
    }

    /// Commits until the store is closed or its last handle is dropped.
    pub fn run(mut self) {
        let mut taken = Vec::new();
        while self.closing.is_empty() {
            if self.waiting.is_empty() {
                if !self.wait_for_jobs(&mut taken) {
                    break;
                }
                self.waiting.extend(taken.drain(..));
            }
            self.group();
        }
        self.close();
    }

    /// Waits for jobs, but at most [`RETRY_PAUSE`] while the index has to be reopened. Returns
    /// false if the queue is closed.
    fn wait_for_jobs(&mut self, taken: &mut Vec<Job>) -> bool {
        let mut waited = Duration::ZERO;
        let is_exhausted = self.writer.as_ref().is_some_and(|writer| writer.is_exhausted());
        while is_exhausted && waited < RETRY_PAUSE {
            match self.queue.try_recv() {
                Ok(job) => {
                    taken.push(job);
                    return true;
                }
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => thread::sleep(MOMENT),
            }
            waited += MOMENT;
        }
        is_exhausted || self.queue.blocking_recv_many(taken, OPERATIONS) > 0
    }

    fn group(&mut self) {
        let shared = Arc::clone(&self.shared);
        match self.ready().and_then(|()| shared.index.reading()) {
            Ok(reading) => {
                let mut open = self.open();
                self.execute(&reading, &mut open);
                drop(reading);
                if open.group.shows() { self.overlap(open) } else { self.write(open) }
            }
            Err(error) => self.refuse_waiting(&error),
        }
    }

    fn ready(&mut self) -> Result<(), KvError> {
        if let Some(error) = self.shared.stopped() {
            return Err(error);
        }
        self.shared.room()?;
        self.shared.spares.check()?;
        self.writer.as_mut().ok_or_else(writer_is_lost)?.heal_if_faulted()
    }

    fn open(&self) -> OpenBatch {
        OpenBatch { group: Batch::new(self.shared.index.tables(), self.position), answers: Vec::new() }
    }

    /// Executes the waiting operations, up to the bounds of a group.
    fn execute(&mut self, reading: &IndexReader<'_>, open: &mut OpenBatch) {
        while !open.is_full() {
            match self.waiting.pop_front().or_else(|| self.queue.try_recv().ok()) {
                Some(Job::Run(operation)) => {
                    open.answers.push(operation.run(&mut open.group, reading));
                    if open.group.shows() {
                        let (writes, guards) = open.group.take_shown();
                        self.shared.versions.show(writes);
                        drop(guards);
                    }
                }
                Some(Job::Heal) => {}
                Some(Job::Close(done)) => {
                    self.closing.push(done);
                    break;
                }
                None => break,
            }
        }
        if let Some(damage) = open.group.take_damage() {
            self.shared.stop(damage);
        }
    }

    /// Writes a group on the committer's thread.
    fn write(&mut self, open: OpenBatch) {
        let (shown, mut executed) = (open.group.shows(), open.executed());
        if shown {
            self.shared.versions.hand_over(Arc::clone(&executed.changes));
        }
        let written = match &mut self.writer {
            Some(writer) => writer.write(&mut executed),
            None => Err(writer_is_lost()),
        };
        // Positions that callers may have seen are never reused.
        if written.is_ok() || shown {
            self.position = executed.position;
        }
        if let Err(error) = written {
            self.fail(&error, [executed]);
        }
    }

    /// Answers the callers of failed groups. Discards the values before: a caller that knows of
    /// the failure must not read them.
    fn fail(&self, error: &KvError, groups: impl IntoIterator<Item = ExecutedBatch>) {
        self.shared.versions.discard_shown();
        for group in groups {
            group.fail(error);
        }
    }

    /// Writes groups on the writer's thread, each while the next one executes on top of it, until a
    /// group has no operation that called [`Tx::publish_early`](crate::kv::Tx::publish_early).
    fn overlap(&mut self, first: OpenBatch) {
        let mut open = first;
        loop {
            let Some(returning) = self.hand_over(&mut open) else { return self.write(open) };
            let returned = self.execute_until(returning, &mut open);
            let (written, before) = match returned {
                Some(WriterReturn { writer, group, written }) => {
                    self.writer = Some(writer);
                    (written.and_then(|()| self.ready()), Some(group))
                }
                None => {
                    let error = writer_is_lost();
                    self.shared.stop(error.clone());
                    (Err(error), None)
                }
            };
            if let Err(error) = written {
                let executed = open.executed();
                self.position = self.position.max(executed.position);
                // A group that was written has no callers left to answer.
                return self.fail(&error, before.into_iter().chain([executed]));
            }
            if !open.group.shows() || !self.closing.is_empty() {
                return self.write(open);
            }
        }
    }

    /// Gives a group to the writer's thread and opens the next. Returns `None` if the thread could
    /// not be started.
    fn hand_over(&mut self, open: &mut OpenBatch) -> Option<oneshot::Receiver<WriterReturn>> {
        if self.thread.is_none() {
            self.thread = WriterThread::start(&self.shared)
                .map_err(
                    |error| tracing::warn!(%error, "could not start the log writer's thread; runs that share a key wait for each sync"),
                )
                .ok();
        }
        let thread = self.thread.as_ref()?;
        let writer = self.writer.take()?;
        self.position = open.group.position();
        let executed = std::mem::replace(open, self.open()).executed();
        self.shared.versions.hand_over(Arc::clone(&executed.changes));
        open.group.set_below(Arc::clone(&executed.changes));
        Some(thread.write(writer, executed))
    }

    /// Executes operations until the previous group is written.
    fn execute_until(
        &mut self,
        mut returning: oneshot::Receiver<WriterReturn>,
        open: &mut OpenBatch,
    ) -> Option<WriterReturn> {
        let mut ended = false;
        loop {
            let shared = Arc::clone(&self.shared);
            match shared.index.reading() {
                Ok(reading) => self.execute(&reading, open),
                Err(error) => self.refuse_waiting(&error),
            }
            let takes = !ended && !open.is_full() && self.closing.is_empty();
            match self.event(&mut returning, takes) {
                CommitterEvent::Written(returned) => return returned,
                CommitterEvent::Job(Some(job)) => self.waiting.push_back(job),
                CommitterEvent::Job(None) => ended = true,
            }
        }
    }

    /// Waits for the writer or, if `takes`, for a job.
    fn event(&mut self, returning: &mut oneshot::Receiver<WriterReturn>, takes: bool) -> CommitterEvent {
        let queue = &mut self.queue;
        block_on(poll_fn(move |context| {
            if let Poll::Ready(returned) = Pin::new(&mut *returning).poll(context) {
                return Poll::Ready(CommitterEvent::Written(returned.ok()));
            }
            if takes { queue.poll_recv(context).map(CommitterEvent::Job) } else { Poll::Pending }
        }))
    }

    fn refuse_waiting(&mut self, error: &KvError) {
        // Jobs that are still in the queue are not refused: the cause may be gone when they are
        // taken.
        for job in self.waiting.drain(..) {
            match job {
                Job::Run(operation) => operation.refuse(error.clone()),
                Job::Heal => {}
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
        self.shared.spare_segments.close();
        self.shared.unlock();
        for done in self.closing {
            let _ = done.send(result.clone());
        }
    }

    /// Makes the last checkpoint and, if every step succeeds, writes the list of a clean shutdown.
    fn finish(&mut self) -> Result<(), KvError> {
        let shared = &self.shared;
        // Wait for a running checkpoint to end, unless it hangs in the index.
        let folder = shared.index.folder();
        let patience = index::timeout(&shared.config, &folder);
        let joined = self.checkpoints.take().is_none_or(|thread| join_within(thread, patience));
        let joined = joined && shared.space.take_rewriting().is_none_or(|thread| join_within(thread, patience));
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
        let folder = shared.index.folder();
        if sound && index::size(&folder) <= config.seal_at_close_bytes {
            clean_shutdown::write(&*config.disk, &config.dir, &folder, shared.seed)
                .map_err(|error| KvError::io("the list of a clean shutdown could not be written", &error))?;
        }
        Ok(())
    }
}

impl OpenBatch {
    fn is_full(&self) -> bool {
        self.answers.len() >= OPERATIONS || self.group.bytes() >= BYTES
    }

    fn executed(self) -> ExecutedBatch {
        let Self { group, answers } = self;
        let (wrote, position) = (group.wrote(), group.position());
        ExecutedBatch { changes: Arc::new(group.into_changes()), wrote, position, answers }
    }
}

fn writer_is_lost() -> KvError {
    KvError::ReadOnly { why: "the log writer failed".to_owned() }
}

/// Wakes the thread that waits in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until a future resolves.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits for a thread to end, at most for `patience`.
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
    use super::*;
    use crate::kv::{Kv, KvConfig, Table, Tx};

    const RUNS: Table = Table::new(1, "runs");
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
    async fn a_faulted_index_is_reopened_and_misses_no_commit() {
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
