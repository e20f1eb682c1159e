//! One run in hand: from a place in the engine to the commit of its outcome, with whatever must be done again between.
//!
//! A run comes here in one of two ways. It was claimed: then the store has it as running, and everything it commits
//! continues that. Or it runs first, because somebody waits for it: then the store hears of it with its outcome, or
//! as soon as a request leaves or 50 ms have passed. From there on both are the same.

mod activate;
mod commit;
mod period;
mod verdict;

pub(crate) use commit::back_off;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::clock::Stopwatch;
use tidemill_core::journal::Journal;
use tidemill_core::run::{Export, Run, RunState};
use tidemill_core::{Fuel, Timestamp};
use tidemill_engine::Ended;
use tidemill_store::StoreError;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard};
use tokio::time::Instant;

use crate::going::Handle;
use crate::host::Inner;
use crate::live::{Live, Plan};
use crate::metrics::AttemptEnd;
use crate::sink::Sink;
use crate::slots::Permit;

/// A run that nobody has seen yet becomes visible after this.
const VISIBLE_AFTER: Duration = Duration::from_millis(50);
/// What a visible run says is saved this long after it said it.
const SAVE_AFTER: Duration = Duration::from_millis(100);
/// After so many refused commits those who would write wait for this run,
const PATIENCE: u32 = 3;
/// at most so long; and so long it waits for its turn at most.
const HOLD: Duration = Duration::from_secs(1);

/// What became of a run in hand.
#[derive(Debug)]
pub(crate) enum Finish {
    /// It is settled, with its output where it succeeded.
    Settled(Box<Run>, Option<Bytes>),
    /// It waits in the queue: for another attempt, or because the host stops.
    Queued(Box<Run>),
    /// Its idempotency key was taken by another run meanwhile; nothing of it happened.
    KeyTaken,
    /// Nothing of it happened, because the store refused it before it was visible.
    Refused(StoreError),
    /// It is somebody else's now, or the store takes nothing any more: it stays where it was.
    Abandoned,
}

/// A run in hand, with all that it holds.
pub(crate) struct Work {
    host: Arc<Inner>,
    live: Arc<Live>,
    /// Component and configuration of the revision that the run began with.
    plan: Arc<Plan>,
    permit: Permit,
    /// The record as the store has it, or will first have it.
    run: Run,
    input: Bytes,
    fresh: bool,
    handle: Arc<Handle>,
    sink: Arc<Sink>,
    started: Stopwatch,
    /// Fuel of earlier attempts; what redoing a stretch costs is recorded, but not held against the limit.
    fuel_before: Fuel,
    refusals: u32,
    /// What the next activation replays, where a stretch is done again.
    again: Option<(Journal, Option<Bytes>)>,
    overran: bool,
    hold: Option<Hold>,
    /// Held by a collection: no other of the stream goes on meanwhile.
    collecting: Option<OwnedMutexGuard<()>>,
    /// The end of the period that is collected.
    collected_to: Option<Timestamp>,
}

/// The right to commit alone, for a while.
struct Hold {
    _guard: OwnedRwLockWriteGuard<()>,
    until: Instant,
}

impl Work {
    /// One that runs first; the caller has its place.
    pub(crate) fn fresh(host: Arc<Inner>, live: Arc<Live>, permit: Permit, run: Run, input: Bytes) -> Self {
        let plan = Arc::clone(&live.plan);
        let handle = Handle::new(run.deployment.clone());
        Self {
            sink: Arc::new(Sink::new(0, false)),
            started: Stopwatch::start(),
            fuel_before: run.fuel,
            refusals: 0,
            again: None,
            overran: false,
            hold: None,
            collecting: None,
            collected_to: None,
            host,
            live,
            plan,
            permit,
            run,
            input,
            fresh: true,
            handle,
        }
    }

    /// One that the store has as running here, and that can be reached through `handle`.
    #[expect(clippy::too_many_arguments, reason = "each is another thing, and all are needed from the start")]
    pub(crate) fn claimed(
        host: Arc<Inner>,
        live: Arc<Live>,
        plan: Arc<Plan>,
        permit: Permit,
        run: Run,
        input: Bytes,
        next_seq: u64,
        handle: Arc<Handle>,
    ) -> Self {
        let fresh = Self::fresh(host, live, permit, run, input);
        Self { plan, handle, sink: Arc::new(Sink::new(next_seq, true)), fresh: false, ..fresh }
    }

    /// A collection that already has the stream to itself.
    pub(crate) fn with_collecting(mut self, guard: Option<OwnedMutexGuard<()>>) -> Self {
        self.collecting = guard;
        self
    }

    /// Where the run's caller can see whether it has become visible.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        Arc::clone(&self.sink)
    }

    /// Executes it to its end, or to another place in the queue, and tells all who wait.
    pub(crate) async fn drive(mut self) -> Finish {
        let id = self.run.id;
        let finish = self.attempt().await;
        if self.sink.is_visible() {
            self.host.going.remove(id);
        }
        let Self { host, live, permit, hold, collecting, .. } = self;
        drop((hold, collecting, permit));
        match &finish {
            Finish::Settled(run, output) => host.outcomes.settle(run, output.as_ref()),
            Finish::Queued(run) => {
                if let RunState::Queued { not_before } = run.state {
                    host.queued_again(&live, not_before);
                }
            }
            Finish::Refused(error) => host.store_failed(error),
            Finish::KeyTaken | Finish::Abandoned => {}
        }
        finish
    }

    async fn attempt(&mut self) -> Finish {
        if self.run.export == Export::RevenueStream && self.collecting.is_none() {
            match self.wait_for_stream().await {
                Ok(guard) => self.collecting = Some(guard),
                Err(finish) => return finish,
            }
        }
        loop {
            let activated = self.activate().await;
            let step = match activated {
                activate::Activated::Ended(ended) => {
                    self.run.fuel = Fuel::new(self.run.fuel.get().saturating_add(ended.fuel.get()));
                    self.run.peak_memory = self.run.peak_memory.max(ended.peak_memory);
                    if ended.redo {
                        let Ended { journal, all, .. } = *ended;
                        self.again = journal.map(|journal| (journal, all.head));
                        commit::Step::Continue(())
                    } else {
                        self.commit(*ended).await
                    }
                }
                activate::Activated::HandBack => self.hand_back().await,
                activate::Activated::Stopped(finish) => return finish,
            };
            match step {
                commit::Step::Break(finish) => return finish,
                commit::Step::Continue(()) => {
                    self.refusals += 1;
                    self.live.figures.redone();
                    // What the refused stretch sampled did not happen; its log lines stay.
                    drop(self.sink.take_samples());
                    if self.refusals >= PATIENCE && self.hold.is_none() {
                        self.take_hold().await;
                    }
                }
            }
        }
    }

    /// Waits for the end of the stream's other collection; the run keeps its place meanwhile.
    async fn wait_for_stream(&mut self) -> Result<OwnedMutexGuard<()>, Finish> {
        let lock = Arc::clone(&self.live.collecting);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        tokio::select! {
            biased;
            guard = lock.lock_owned() => return Ok(guard),
            () = host.stopping() => {}
            () = cancel.reached(tidemill_engine::Urgency::Asked) => {}
        }
        let step = if self.handle.was_told() { self.cancelled_untold().await } else { self.hand_back().await };
        match step {
            commit::Step::Break(finish) => Err(finish),
            // Neither has read anything that could have changed.
            commit::Step::Continue(()) => Err(Finish::Abandoned),
        }
    }

    /// From now on those of the deployment who would write wait, until this run has committed.
    async fn take_hold(&mut self) {
        let lock = Arc::clone(&self.live.contention);
        if let Ok(guard) = tokio::time::timeout(HOLD, lock.write_owned()).await {
            self.hold = Some(Hold { _guard: guard, until: Instant::now() + HOLD });
        }
    }

    fn count(&self, how: AttemptEnd) {
        let fuel = self.run.fuel.get().saturating_sub(self.fuel_before.get());
        self.live.figures.ended(how, fuel, self.started.elapsed());
    }
}
