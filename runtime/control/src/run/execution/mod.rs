//! The execution of one run: from its permit to the commit of its result, including retried
//! transactions.
//!
//! A run gets here in one of two ways. If it was claimed, the store has it as running, and every
//! commit continues its record. If a caller waits for it, it starts at once: the store first
//! receives it with its result, or as soon as a request leaves or 50 ms have passed. From there on
//! both cases are the same.

mod activate;
pub(crate) mod channel;
mod commit;
mod evidence;
mod period;
mod suspend;
mod transaction;
mod verdict;

pub(crate) use crate::run::execution::activate::{check_activation, dry_activation};

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::clock::Stopwatch;
use tidemill_core::journal::{Journal, JournalChange};
use tidemill_core::run::{Export, Run, RunState};
use tidemill_core::{Fuel, Timestamp};
use tidemill_engine::ActivationResult;
use tidemill_store::StoreError;
use tidemill_store::records::ClaimedRun;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::deployment::active::{ActiveDeployment, ResolvedRevision};
use crate::deployment::limiter::Permit;
use crate::run::execution::channel::GuestChannel;
use crate::run::registry::RunHandle;
use crate::state::HostState;

/// Maximum time before a new run becomes visible.
const VISIBLE_AFTER: Duration = Duration::from_millis(50);
/// Maximum time before the output of a visible run is saved.
const SAVE_AFTER: Duration = Duration::from_millis(100);
/// Number of conflicts before a run takes the deployment's write lock.
const MAX_CONFLICTS: u32 = 3;
/// Maximum time to wait for that lock, and to hold it.
const EXCLUSIVE_MAX: Duration = Duration::from_secs(1);
/// Maximum time that a collection holds its permit while it waits for another collection of its
/// stream.
const STREAM_WAIT_MAX: Duration = Duration::from_secs(1);
/// Delay before such a collection can be claimed again, in milliseconds.
const STREAM_RETRY_MILLIS: u64 = 5_000;

/// The result of executing a run.
#[derive(Debug)]
pub(crate) enum ExecutionEnd {
    /// The run is settled, with its output if it succeeded.
    Settled(Box<Run>, Option<Bytes>),
    /// The run waits in the queue: for another attempt, for its next generation, or because the
    /// host shuts down.
    Queued(Box<Run>),
    /// The run waits, and its guest has left memory.
    Suspended(Box<Run>),
    /// Another run took its idempotency key first; nothing was committed.
    KeyTaken,
    /// The store refused the run before it was visible; nothing was committed.
    Refused(StoreError),
    /// Another node owns the run, or the store accepts no writes: it keeps its stored state.
    Abandoned,
}

/// How the execution of a run proceeds: `Break` ends it here.
pub(crate) type ExecutionStep<T = ()> = ControlFlow<ExecutionEnd, T>;

/// A run that executes, with everything that it holds.
pub(crate) struct Execution {
    host: Arc<HostState>,
    live: Arc<ActiveDeployment>,
    /// The revision that the run began with: its component and configuration.
    plan: Arc<ResolvedRevision>,
    /// Its permit; `None` while it waits.
    permit: Option<Permit>,
    /// The record as the store has it, or will first have it.
    run: Run,
    input: Bytes,
    fresh: bool,
    handle: Arc<RunHandle>,
    sink: Arc<GuestChannel>,
    started: Stopwatch,
    /// The journal, between two activations.
    journal: Option<Journal>,
    /// The part of the journal that is not written yet, and the replay snapshot that belongs to it.
    unsaved: Option<JournalChange>,
    snapshot: Option<Bytes>,
    /// The replay snapshot in the store.
    stored_snapshot: Option<Bytes>,
    /// The run's fuel when the execution started.
    fuel_before: Fuel,
    /// Fuel of earlier attempts of this generation. Retried transactions are recorded but do not
    /// count towards the limit.
    fuel_used: Fuel,
    /// The run's fuel when this activation started.
    fuel_base: Fuel,
    /// The guest that waits in memory.
    in_memory: Option<suspend::ResidentGuest>,
    conflicts: u32,
    /// What refused an effect of the transaction, if its last commit was a conflict of an effect.
    refusal: Option<Box<StoreError>>,
    overran: bool,
    hold: Option<ExclusiveCommit>,
    /// The stream lock of a collection.
    collecting: Option<OwnedMutexGuard<()>>,
    /// The collected period, as the guest receives it.
    collects: Option<Bytes>,
    /// The end of the collected period.
    collected_to: Option<Timestamp>,
}

/// The exclusive right to commit, until a deadline.
struct ExclusiveCommit {
    _guard: OwnedRwLockWriteGuard<()>,
    until: Instant,
}

/// What the store has of a run besides its record and its input.
pub(crate) struct StoredProgress {
    /// The revision that its generation began with.
    pub(crate) plan: Arc<ResolvedRevision>,
    /// Its journal; `None` if it is empty.
    pub(crate) journal: Option<Journal>,
    /// Its replay snapshot.
    pub(crate) snapshot: Option<Bytes>,
    /// The number of its next log line.
    pub(crate) next_seq: u64,
}

impl Execution {
    /// Creates the execution of a new run that the store does not know. The caller has its permit.
    pub(crate) fn fresh(
        host: Arc<HostState>,
        live: Arc<ActiveDeployment>,
        permit: Permit,
        run: Run,
        input: Bytes,
    ) -> Self {
        let plan = Arc::clone(&live.plan);
        let handle = RunHandle::new();
        Self {
            sink: Arc::new(GuestChannel::new(Arc::clone(&host), run.deployment.clone(), 0, false)),
            started: Stopwatch::start(),
            journal: None,
            unsaved: None,
            snapshot: None,
            stored_snapshot: None,
            fuel_before: run.fuel,
            fuel_used: run.fuel,
            fuel_base: run.fuel,
            in_memory: None,
            conflicts: 0,
            refusal: None,
            overran: false,
            hold: None,
            collecting: None,
            collects: None,
            collected_to: None,
            host,
            live,
            plan,
            permit: Some(permit),
            run,
            input,
            fresh: true,
            handle,
        }
    }

    /// Creates the execution of a claimed run, which can be cancelled through `handle`.
    pub(crate) fn claimed(
        host: Arc<HostState>,
        live: Arc<ActiveDeployment>,
        permit: Permit,
        claimed: ClaimedRun,
        stored: StoredProgress,
        handle: Arc<RunHandle>,
    ) -> Self {
        let ClaimedRun { mut run, input } = claimed;
        run.waiting_for = None;
        let sink = Arc::new(GuestChannel::new(Arc::clone(&host), run.deployment.clone(), stored.next_seq, true));
        // The replay snapshot knows the fuel. Without it, only the first generation has no fuel of
        // another one in its count.
        let known = stored.journal.is_some() || stored.snapshot.is_some() || run.generation > 1;
        let fuel_used = if known { Fuel::default() } else { run.fuel };
        let fresh = Self::fresh(host, live, permit, run, input);
        Self {
            fuel_used,
            plan: stored.plan,
            journal: stored.journal,
            snapshot: stored.snapshot.clone(),
            stored_snapshot: stored.snapshot,
            handle,
            sink,
            fresh: false,
            ..fresh
        }
    }

    /// Passes the stream lock to a collection that already has it.
    pub(crate) fn with_collecting(mut self, guard: Option<OwnedMutexGuard<()>>) -> Self {
        self.collecting = guard;
        self
    }

    /// Returns the channel, which shows the caller whether the run is visible.
    pub(crate) fn sink(&self) -> Arc<GuestChannel> {
        Arc::clone(&self.sink)
    }

    /// Executes the run until it ends or returns to the queue, and notifies all waiting callers.
    /// The span `run` begins here, below the span of a request that waits for the run.
    pub(crate) fn drive(self: Box<Self>) -> impl Future<Output = ExecutionEnd> + Send {
        let (run, deployment, attempt) = (self.run.id, &self.run.deployment, self.run.attempt);
        let span = tracing::info_span!("run", %run, %deployment, attempt);
        self.execute().instrument(span)
    }

    async fn execute(mut self: Box<Self>) -> ExecutionEnd {
        tracing::debug!(revision = self.run.revision.get(), generation = self.run.generation, "admitted run");
        let id = self.run.id;
        let finish = self.attempt().await;
        if self.sink.is_visible() {
            self.host.runs.registry.remove(id, &self.handle);
        }
        let Self { host, live, permit, hold, collecting, .. } = *self;
        if let (ExecutionEnd::Suspended(_), Some(guard)) = (&finish, collecting) {
            host.runs.collections.insert(id, guard);
        }
        drop((hold, permit));
        match &finish {
            ExecutionEnd::Settled(run, output) => host.runs.completions.settle(run, output.as_ref()),
            ExecutionEnd::Queued(run) => {
                if let RunState::Queued { not_before } = run.state {
                    host.admission.note_queued(&live, not_before);
                }
            }
            ExecutionEnd::Refused(error) => host.store_failures.record(error),
            ExecutionEnd::KeyTaken | ExecutionEnd::Abandoned | ExecutionEnd::Suspended(_) => {}
        }
        finish
    }

    async fn attempt(&mut self) -> ExecutionEnd {
        if self.run.export == Export::RevenueStream && self.collecting.is_none() {
            match Box::pin(self.wait_for_stream()).await {
                ExecutionStep::Continue(guard) => self.collecting = guard,
                ExecutionStep::Break(end) => return end,
            }
        }
        loop {
            if let ExecutionStep::Break(end) = self.execute_transaction().await {
                return end;
            }
            self.conflicts += 1;
            self.live.metrics.redone();
            if self.conflicts >= MAX_CONFLICTS && self.hold.is_none() {
                self.acquire_exclusive_commit().await;
            }
        }
    }

    /// Executes the open transaction. Returns if it must be executed again after a conflict.
    async fn execute_transaction(&mut self) -> ExecutionStep {
        match self.activate().await? {
            Some(ended) => self.on_activation_end(ended).await,
            None => Box::pin(self.hand_back(0)).await,
        }
    }

    async fn on_activation_end(&mut self, mut ended: Box<ActivationResult>) -> ExecutionStep {
        self.run.fuel = Fuel::new(self.fuel_base.get().saturating_add(ended.fuel.get()));
        self.run.peak_memory = self.run.peak_memory.max(ended.peak_memory);
        if !ended.redo {
            return self.commit(ended).await;
        }
        // If the host shuts down now, the run resumes from there too.
        self.add_unsaved(ended.journal.as_mut().and_then(Journal::change));
        self.snapshot = ended.all.snapshot;
        self.journal = ended.journal;
        ExecutionStep::Continue(())
    }

    /// Begins the next transaction. The previous one is committed, so no run needs to wait for this
    /// one any more.
    fn begin_transaction(&mut self) {
        (self.hold, self.conflicts, self.refusal) = (None, 0, None);
    }

    /// Waits for the end of the stream's other collection. The run keeps its permit only for a
    /// short time, because the other one may be waiting and need a permit to resume. Returns `None`
    /// for a cancelled run that has something to undo: it continues at once.
    async fn wait_for_stream(&mut self) -> ExecutionStep<Option<OwnedMutexGuard<()>>> {
        if let Some(guard) = self.host.runs.collections.remove(self.run.id) {
            return ExecutionStep::Continue(Some(guard));
        }
        let lock = Arc::clone(&self.live.collecting);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        let mut pause = 0;
        tokio::select! {
            biased;
            guard = lock.lock_owned() => return ExecutionStep::Continue(Some(guard)),
            () = host.shutdown.stopping.cancelled() => {}
            () = cancel.reached(tidemill_engine::Urgency::Requested) => {}
            () = tokio::time::sleep(STREAM_WAIT_MAX) => pause = STREAM_RETRY_MILLIS,
        }
        if self.handle.was_notified() && !self.is_untouched() {
            // The guest is notified and undoes its work concurrently with the other collection.
            return ExecutionStep::Continue(None);
        }
        if self.handle.was_notified() {
            self.cancel_without_notice().await?;
        } else {
            self.hand_back(pause).await?;
        }
        // Neither has read anything that could conflict.
        ExecutionStep::Break(ExecutionEnd::Abandoned)
    }

    /// Returns whether it has recorded nothing that it could have to undo.
    fn is_untouched(&self) -> bool {
        self.journal.is_none() && self.snapshot.is_none()
    }

    /// Takes the deployment's write lock, so that other runs wait with their writes until this run
    /// has committed.
    async fn acquire_exclusive_commit(&mut self) {
        let lock = Arc::clone(&self.live.contention);
        if let Ok(guard) = tokio::time::timeout(EXCLUSIVE_MAX, lock.write_owned()).await {
            self.hold = Some(ExclusiveCommit { _guard: guard, until: Instant::now() + EXCLUSIVE_MAX });
        }
    }
}
