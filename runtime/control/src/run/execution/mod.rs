//! One run in hand: from a place in the engine to the commit of its outcome, with whatever must be done again between.
//!
//! A run comes here in one of two ways. It was claimed: then the store has it as running, and everything it commits
//! continues that. Or it runs first, because somebody waits for it: then the store hears of it with its outcome, or
//! as soon as a request leaves or 50 ms have passed. From there on both are the same.

mod activate;
pub(crate) mod channel;
pub(crate) mod collection;
mod commit;
mod period;
mod suspend;
mod transaction;
mod verdict;

pub(crate) use crate::run::execution::activate::dry_job;
pub(crate) use crate::run::execution::commit::back_off;

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

use crate::control_plane::HostState;
use crate::deployment::active::{ActiveDeployment, ResolvedRevision};
use crate::deployment::limiter::Permit;
use crate::run::execution::channel::GuestChannel;
use crate::run::registry::RunHandle;

/// A run that nobody has seen yet becomes visible after this.
const VISIBLE_AFTER: Duration = Duration::from_millis(50);
/// What a visible run says is saved this long after it said it.
const SAVE_AFTER: Duration = Duration::from_millis(100);
/// After so many refused commits those who would write wait for this run,
const PATIENCE: u32 = 3;
/// at most so long; and so long it waits for its turn at most.
const HOLD: Duration = Duration::from_secs(1);
/// A collection that waits for another one of its stream gives its place back after this,
const STREAM_WITHIN: Duration = Duration::from_secs(1);
/// for so long, in milliseconds.
const STREAM_PAUSE: u64 = 5_000;

/// What became of a run in hand.
#[derive(Debug)]
pub(crate) enum ExecutionEnd {
    /// It is settled, with its output where it succeeded.
    Settled(Box<Run>, Option<Bytes>),
    /// It waits in the queue: for another attempt, to go on as new, or because the host stops.
    Queued(Box<Run>),
    /// It waits, and nothing of it is in memory.
    Suspended(Box<Run>),
    /// Its idempotency key was taken by another run meanwhile; nothing of it happened.
    KeyTaken,
    /// Nothing of it happened, because the store refused it before it was visible.
    Refused(StoreError),
    /// It is somebody else's now, or the store takes nothing any more: it stays where it was.
    Abandoned,
}

/// A run in hand, with all that it holds.
pub(crate) struct Execution {
    host: Arc<HostState>,
    live: Arc<ActiveDeployment>,
    /// Component and configuration of the revision that the run began with.
    plan: Arc<ResolvedRevision>,
    /// Its place; none while it waits.
    permit: Option<Permit>,
    /// The record as the store has it, or will first have it.
    run: Run,
    input: Bytes,
    fresh: bool,
    handle: Arc<RunHandle>,
    sink: Arc<GuestChannel>,
    started: Stopwatch,
    /// What is recorded of the run, between two activations.
    journal: Option<Journal>,
    /// What is to be written of the journal, with the head that belongs to it.
    unsaved: Option<JournalChange>,
    head: Option<Bytes>,
    /// The head that the store has.
    stored_head: Option<Bytes>,
    /// What the record showed when the work began.
    fuel_before: Fuel,
    /// Fuel of earlier attempts of this generation; what redoing a stretch costs is recorded, but not held against the limit.
    fuel_used: Fuel,
    /// What the record showed when this activation began.
    fuel_base: Fuel,
    /// The guest that waits in memory.
    in_memory: Option<suspend::ResidentGuest>,
    refusals: u32,
    overran: bool,
    hold: Option<ExclusiveCommit>,
    /// Held by a collection: no other of the stream goes on meanwhile.
    collecting: Option<OwnedMutexGuard<()>>,
    /// The period that is collected, as the guest is given it,
    collects: Option<Bytes>,
    /// and its end.
    collected_to: Option<Timestamp>,
}

/// The right to commit alone, for a while.
struct ExclusiveCommit {
    _guard: OwnedRwLockWriteGuard<()>,
    until: Instant,
}

/// What the store has of a run beside its record and its input.
pub(crate) struct StoredProgress {
    /// The revision that its generation began with.
    pub(crate) plan: Arc<ResolvedRevision>,
    /// What it recorded; none where that is nothing.
    pub(crate) journal: Option<Journal>,
    /// What its open stretch holds.
    pub(crate) head: Option<Bytes>,
    /// The place of its next log line.
    pub(crate) next_seq: u64,
}

impl Execution {
    /// One that runs first; the caller has its place.
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
            head: None,
            stored_head: None,
            fuel_before: run.fuel,
            fuel_used: run.fuel,
            fuel_base: run.fuel,
            in_memory: None,
            refusals: 0,
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

    /// One that the store has as running here, and that can be reached through `handle`.
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
        // What is recorded knows it; without that, only the first generation has no other one's fuel in its figure.
        let known = stored.journal.is_some() || stored.head.is_some() || run.generation > 1;
        let fuel_used = if known { Fuel::default() } else { run.fuel };
        let fresh = Self::fresh(host, live, permit, run, input);
        Self {
            fuel_used,
            plan: stored.plan,
            journal: stored.journal,
            head: stored.head.clone(),
            stored_head: stored.head,
            handle,
            sink,
            fresh: false,
            ..fresh
        }
    }

    /// A collection that already has the stream to itself.
    pub(crate) fn with_collecting(mut self, guard: Option<OwnedMutexGuard<()>>) -> Self {
        self.collecting = guard;
        self
    }

    /// Where the run's caller can see whether it has become visible.
    pub(crate) fn sink(&self) -> Arc<GuestChannel> {
        Arc::clone(&self.sink)
    }

    /// Executes it to its end, or to another place in the queue, and tells all who wait.
    pub(crate) async fn drive(mut self) -> ExecutionEnd {
        let id = self.run.id;
        let finish = self.attempt().await;
        if self.sink.is_visible() {
            self.host.going.remove(id, &self.handle);
        }
        let Self { host, live, permit, hold, collecting, .. } = self;
        if let (ExecutionEnd::Suspended(_), Some(guard)) = (&finish, collecting) {
            host.collections.keep(id, guard);
        }
        drop((hold, permit));
        match &finish {
            ExecutionEnd::Settled(run, output) => host.outcomes.settle(run, output.as_ref()),
            ExecutionEnd::Queued(run) => {
                if let RunState::Queued { not_before } = run.state {
                    host.note_queued(&live, not_before);
                }
            }
            ExecutionEnd::Refused(error) => host.store_failed(error),
            ExecutionEnd::KeyTaken | ExecutionEnd::Abandoned | ExecutionEnd::Suspended(_) => {}
        }
        finish
    }

    async fn attempt(&mut self) -> ExecutionEnd {
        if self.run.export == Export::RevenueStream && self.collecting.is_none() {
            match self.wait_for_stream().await {
                Ok(guard) => self.collecting = guard,
                Err(finish) => return finish,
            }
        }
        loop {
            let step = match self.activate().await {
                activate::ActivationEnd::Ended(ended) => self.on_activation_end(ended).await,
                activate::ActivationEnd::Suspended => return ExecutionEnd::Suspended(Box::new(self.run.clone())),
                activate::ActivationEnd::HandBack => self.hand_back().await,
                activate::ActivationEnd::Stopped(finish) => return finish,
            };
            match step {
                commit::CommitFlow::Break(finish) => return finish,
                commit::CommitFlow::Continue(()) => {
                    self.refusals += 1;
                    self.live.figures.redone();
                    if self.refusals >= PATIENCE && self.hold.is_none() {
                        self.acquire_exclusive_commit().await;
                    }
                }
            }
        }
    }

    async fn on_activation_end(&mut self, mut ended: Box<ActivationResult>) -> commit::CommitFlow {
        self.run.fuel = Fuel::new(self.fuel_base.get().saturating_add(ended.fuel.get()));
        self.run.peak_memory = self.run.peak_memory.max(ended.peak_memory);
        if !ended.redo {
            return self.commit(ended).await;
        }
        // Should the host stop now, the run goes on from there too.
        self.note_change(ended.journal.as_mut().and_then(Journal::change));
        self.head = ended.all.head;
        self.journal = ended.journal;
        commit::CommitFlow::Continue(())
    }

    /// What was done has taken hold, and nobody need wait for this run any more.
    fn begin_stretch(&mut self) {
        (self.hold, self.refusals) = (None, 0);
    }

    /// Waits for the end of the stream's other collection; the run keeps its place meanwhile, but not for long: the other one
    /// may itself be waiting, and need a place to go on. None for a run that was cancelled and has something to undo: it goes on at
    /// once.
    async fn wait_for_stream(&mut self) -> Result<Option<OwnedMutexGuard<()>>, ExecutionEnd> {
        if let Some(guard) = self.host.collections.take(self.run.id) {
            return Ok(Some(guard));
        }
        let lock = Arc::clone(&self.live.collecting);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        let mut pause = 0;
        tokio::select! {
            biased;
            guard = lock.lock_owned() => return Ok(Some(guard)),
            () = host.stopping() => {}
            () = cancel.reached(tidemill_engine::Urgency::Requested) => {}
            () = tokio::time::sleep(STREAM_WITHIN) => pause = STREAM_PAUSE,
        }
        if self.handle.was_notified() && !self.is_untouched() {
            // It is told, and undoes what it did, beside the other one.
            return Ok(None);
        }
        let step = if self.handle.was_notified() {
            self.cancel_before_notice().await
        } else {
            self.hand_back_for(pause).await
        };
        match step {
            commit::CommitFlow::Break(finish) => Err(finish),
            // Neither has read anything that could have changed.
            commit::CommitFlow::Continue(()) => Err(ExecutionEnd::Abandoned),
        }
    }

    /// Whether it has recorded nothing that it could want to undo.
    fn is_untouched(&self) -> bool {
        self.journal.is_none() && self.head.is_none()
    }

    /// From now on those of the deployment who would write wait, until this run has committed.
    async fn acquire_exclusive_commit(&mut self) {
        let lock = Arc::clone(&self.live.contention);
        if let Ok(guard) = tokio::time::timeout(HOLD, lock.write_owned()).await {
            self.hold = Some(ExclusiveCommit { _guard: guard, until: Instant::now() + HOLD });
        }
    }
}
