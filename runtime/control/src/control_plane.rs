//! The host: one front for everything that is asked of it, over the store and the engine.
//!
//! What each noun can do is in its own file: `upload`, `deploy`, `runs`, `invoke`, `schedules`. Here is what they share, how
//! a host starts and how it ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::ids::Owner;
use tidemill_core::run::Export;
use tidemill_core::{Clock, Code, DeploymentName, Timestamp};
use tidemill_store::contract::StoreHealth;
use tidemill_store::records::{PageRequest, ParkedFilter, RunFilter, Scrub};
use tidemill_store::{Store, StoreError};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use crate::config::HostConfig;
use crate::deployment::active::{ActiveDeployment, DeploymentRegistry, ResolvedRevision};
use crate::deployment::limiter::NodeLimiter;
use crate::error::ControlError;
use crate::guests::GuestExecutor;
use crate::metrics::Metrics;
use crate::reconcile::delivery::{Deliveries, DeliveryReconciler};
use crate::reconcile::dispatcher::Dispatcher;
use crate::reconcile::operations::OperationReconciler;
use crate::reconcile::recovery::RecoveryReconciler;
use crate::reconcile::retention::{CancellationReconciler, RetentionReconciler};
use crate::reconcile::scheduler::Scheduler;
use crate::reconcile::scrub::{ScrubReconciler, ScrubStatus};
use crate::reconcile::zones::ZoneReconciler;
use crate::reconcile::{self, NextTick};
use crate::run::completion::CompletionWatchers;
use crate::run::execution::collection::SuspendedCollections;
use crate::run::registry::RunRegistry;
use crate::run::resident::ResidentRuns;
use crate::schedule::blocked::Blocked;
use crate::schedule::clock_setback::Setback;

/// Deployments that one page of the store's list brings at the start.
const PAGE: usize = 500;
/// Failures of the store are written to the log so far apart at least, in milliseconds.
const REPORT_EVERY: u64 = 1_000;
/// Runs handed back at shutdown get so long for their commits.
const HAND_BACK: Duration = Duration::from_secs(2);

/// Everything that control shares.
pub(crate) struct HostState {
    pub(crate) config: HostConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) guests: Arc<dyn GuestExecutor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) owner: Owner,
    pub(crate) lives: DeploymentRegistry,
    pub(crate) blocked: Blocked,
    pub(crate) node: Arc<NodeLimiter>,
    pub(crate) going: RunRegistry,
    pub(crate) waiting: ResidentRuns,
    pub(crate) collections: SuspendedCollections,
    pub(crate) outcomes: Arc<CompletionWatchers>,
    pub(crate) metrics: Metrics,
    pub(crate) scrubs: ScrubStatus,
    /// Wakes the scheduler: some schedule has another time.
    pub(crate) rescheduled: Notify,
    /// What there is to give to subscriptions.
    pub(crate) deliveries: Deliveries,
    /// Wakes the loop that works operations off.
    pub(crate) asked: Notify,
    /// When the dispatcher need look next for runs that were delayed, in milliseconds.
    pub(crate) delayed_until: AtomicU64,
    /// Changes of deployments come one after the other, so that what is in memory follows the order of the commits.
    pub(crate) changes: Mutex<()>,
    /// Deployments that are being deleted: nobody else changes them meanwhile.
    pub(crate) deleting: std::sync::Mutex<BTreeSet<DeploymentName>>,
    /// Since the host was made.
    pub(crate) since: Stopwatch,
    /// No new work is taken.
    closed: AtomicBool,
    /// What goes on is handed back.
    stopping: AtomicBool,
    stop: Notify,
    loops: std::sync::Mutex<Vec<JoinHandle<()>>>,
    close: Notify,
    recovering: AtomicBool,
    /// When a failure of the store was last written to the log, in milliseconds.
    reported: AtomicU64,
    pub(crate) setback: Setback,
}

/// A running host. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct ControlPlane(pub(crate) Arc<HostState>);

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("owner", &self.0.owner).finish_non_exhaustive()
    }
}

/// Whether the host can do its work, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether requests should be sent here.
    pub ready: bool,
    /// What is amiss, in words; empty where nothing is.
    pub reasons: Vec<String>,
}

impl ControlPlane {
    /// Begins a new life of the node, takes up what the last one left, and starts to dispatch and to schedule.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub async fn start(
        config: HostConfig,
        store: Arc<dyn Store>,
        guests: Arc<dyn GuestExecutor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ControlError> {
        let host = Self::start_paused(config, store, guests, clock).await?;
        host.spawn_loops();
        Ok(host)
    }

    /// The same, with nothing going on by itself: the caller turns the clock and calls [`ControlPlane::turn`].
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start_paused(
        config: HostConfig,
        store: Arc<dyn Store>,
        guests: Arc<dyn GuestExecutor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ControlError> {
        let epoch = store.begin_life(&config.node).await?;
        let last_scrub = store.last_scrub().await?;
        let scrubs = ScrubStatus::new(last_scrub, clock.now(), config.scrub_every);
        let metrics = Metrics::default();
        if let Some(scrub) = last_scrub {
            metrics.host.scrubbed(scrub.at);
        }
        let inner = Arc::new(HostState {
            owner: Owner { node: config.node.clone(), epoch },
            node: NodeLimiter::new(config.concurrency),
            lives: DeploymentRegistry::new(config.policy.clone()),
            blocked: Blocked::default(),
            config,
            store,
            guests,
            clock,
            going: RunRegistry::default(),
            waiting: ResidentRuns::default(),
            collections: SuspendedCollections::default(),
            outcomes: Arc::default(),
            metrics,
            scrubs,
            rescheduled: Notify::new(),
            deliveries: Deliveries::default(),
            asked: Notify::new(),
            delayed_until: AtomicU64::new(0),
            changes: Mutex::new(()),
            deleting: std::sync::Mutex::default(),
            since: Stopwatch::start(),
            closed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
            loops: std::sync::Mutex::default(),
            close: Notify::new(),
            recovering: AtomicBool::new(true),
            reported: AtomicU64::new(0),
            setback: Setback::default(),
        });
        inner.note_index_scrub(inner.clock.now()).await?;
        inner.load().await?;
        inner.remove_unnamed_components().await?;
        inner.look_at_time().await;
        inner.apply_policy().await?;
        // Nothing is admitted before what was left running is in hand again.
        inner.node.set_open(false);
        Ok(Self(inner))
    }

    fn spawn_loops(&self) {
        let host = &self.0;
        let mut loops = vec![
            reconcile::spawn(Arc::clone(host), RecoveryReconciler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), Dispatcher::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), Scheduler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), DeliveryReconciler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), CancellationReconciler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), OperationReconciler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), RetentionReconciler::new(Arc::clone(host))),
            reconcile::spawn(Arc::clone(host), ZoneReconciler::new(Arc::clone(host))),
        ];
        loops.extend(ScrubReconciler::new(host).map(|scrubbing| reconcile::spawn(Arc::clone(host), scrubbing)));
        self.0.loops.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(loops);
    }

    /// What is asked of a host goes into it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// What executes the runs.
    #[must_use]
    pub fn guests(&self) -> &Arc<dyn GuestExecutor> {
        &self.0.guests
    }

    /// The clock that everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The node and its present life.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn ready(&self) -> Readiness {
        let mut reasons = Vec::new();
        if self.0.is_closed() {
            reasons.push("the host is shutting down".to_owned());
        } else if self.0.recovering.load(Ordering::Acquire) {
            reasons.push("runs of the last life are being taken up".to_owned());
        }
        match self.0.store.health() {
            StoreHealth::Good => {}
            StoreHealth::DiskFull => reasons.push("the disk is full".to_owned()),
            StoreHealth::ReadOnly(why) => reasons.push(format!("the store is read-only: {why}")),
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// The host's figures, those of this moment included, in the text format that Prometheus reads.
    ///
    /// # Errors
    /// As [`Metrics::encode`].
    pub async fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let now = &self.0.metrics.host;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let stats = self.0.guests.stats();
        now.syncs.set(number(self.0.store.sync_count()));
        now.store_good.set(i64::from(self.0.store.health() == StoreHealth::Good));
        if let Some(space) = self.0.store.space() {
            now.index_live_bytes.set(number(space.live_bytes.unwrap_or_default()));
            now.index_used_bytes.set(number(space.used_bytes));
        }
        now.guests_running.set(number(stats.running));
        now.guests_waiting.set(number(stats.waiting));
        now.modules.set(number(stats.modules));
        now.compiled.set(number(stats.compiled));
        now.loaded.set(number(stats.loaded));
        self.0.deliveries.measure(&self.0.lives, &self.0.metrics);
        let mut queued = 0;
        for live in self.0.lives.all().values() {
            live.figures.set_now(live.gate.running(), live.gate.queued());
            queued += live.gate.queued();
        }
        // Each of the numbers moves while the others are read, so none may come out below nothing.
        let counts = self.0.store.run_counts();
        let here = i64::from(self.0.node.used());
        let suspended = number(counts.unended) - number(counts.running) - number(counts.parked) - number(queued);
        now.suspended.set(suspended.max(0));
        now.orphaned.set((number(counts.running) - here).max(0));
        // Where the store cannot be read, the figures of before stay.
        if let Ok(mut usage) = self.0.store.usage().await {
            let lives = self.0.lives.all();
            usage.retain(|(deployment, _)| lives.contains_key(deployment));
            self.0.metrics.kept(&usage, &self.0.store.quotas());
        }
        self.0.metrics.encode()
    }

    /// The last scrub that found all that is kept to be sound, of this life or an earlier one.
    #[must_use]
    pub fn last_scrub(&self) -> Option<Scrub> {
        self.0.scrubs.last()
    }

    /// How many runs this node executes now.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.0.node.used()
    }

    /// Waits until this node executes nothing.
    pub async fn idle(&self) {
        self.0.node.empty().await;
    }

    /// Takes no new work, lets what runs finish, hands back what does not in time, and closes the store. Returns after
    /// `within` and some seconds at the latest; whoever still waits for an outcome is answered with the run as it stands.
    pub async fn shutdown(&self, within: Duration) {
        let host = &self.0;
        if host.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        host.node.set_open(false);
        host.close.notify_waiters();
        // What waits is in the store already.
        host.waiting.clear();
        let loops = std::mem::take(&mut *host.loops.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let finish = async {
            for task in loops {
                // A loop that panicked has ended too.
                let _ = task.await;
            }
            host.node.empty().await;
        };
        if tokio::time::timeout(within, finish).await.is_err() {
            host.stopping.store(true, Ordering::Release);
            host.stop.notify_waiters();
            if tokio::time::timeout(HAND_BACK, host.node.empty()).await.is_err() {
                tracing::warn!(running = host.node.used(), "runs are left for the next life to take up");
            }
        }
        if let Err(error) = host.store.close().await {
            tracing::error!(%error, "the store did not close as it should");
        }
    }
}

/// Carries `work` to its end even where the caller is gone before: what is committed must be followed by what it means for
/// the rest of the host.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Result<T, ControlError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(ControlError::refused(Code::Internal, format!("the work was cut off: {error}"))),
    }
}

impl HostState {
    /// Reads all deployments into memory.
    async fn load(&self) -> Result<(), ControlError> {
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.deployments(page).await?;
            let mut plans = Vec::with_capacity(found.items.len());
            for deployment in found.items {
                let plan = ResolvedRevision::load(&*self.store, &deployment).await?;
                plans.push((deployment, plan));
            }
            self.lives.put_all(&self.metrics, plans);
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => break,
            }
        }
        for live in self.lives.all().values().filter(|live| live.plan.exports.contains(&Export::RevenueStream)) {
            self.restore_stream_lock(live).await?;
        }
        self.recount().await?;
        for name in self.store.waiting_deployments(Timestamp::MAX).await? {
            if let Some(live) = self.lives.get(&name) {
                self.node.backlog.add(&live.gate);
            }
        }
        Ok(())
    }

    /// Counts anew how many runs wait: what was cancelled or joined meanwhile is counted by nobody else.
    pub(crate) async fn recount(&self) -> Result<(), ControlError> {
        for live in self.lives.all().values() {
            let queued = self.store.waiting(&live.deployment.name).await?;
            live.gate.set_queued(i64::try_from(queued).unwrap_or(i64::MAX));
        }
        let parked = match self.store.run_counts().parked {
            0 => Vec::new(),
            _ => self.store.parked_groups(ParkedFilter::default()).await?,
        };
        self.metrics.set_parked(&parked);
        Ok(())
    }

    /// A collection that waits has its stream to itself, over a restart too.
    async fn restore_stream_lock(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let deployment = Some(live.deployment.name.clone());
        let filter = RunFilter { deployment, states: vec!["suspended".to_owned()], ..RunFilter::default() };
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.runs(filter.clone(), page).await?;
            if let Some(run) = found.items.iter().find(|run| run.export == Export::RevenueStream) {
                if let Ok(guard) = Arc::clone(&live.collecting).try_lock_owned() {
                    self.collections.keep(run.id, guard);
                }
                return Ok(());
            }
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(()),
            }
        }
    }

    /// The deployment of that name.
    pub(crate) fn live(&self, name: &DeploymentName) -> Result<Arc<ActiveDeployment>, ControlError> {
        self.lives.get(name).ok_or_else(|| ControlError::no_deployment(name))
    }

    /// Refuses once the host shuts down.
    pub(crate) fn check_open(&self) -> Result<(), ControlError> {
        if self.is_closed() { Err(ControlError::shutting_down()) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until no new work is taken.
    pub(crate) async fn closing(&self) {
        let ended = self.close.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// Waits until what goes on is handed back.
    pub(crate) async fn stopping(self: &Arc<Self>) {
        let stop = self.stop.notified();
        tokio::pin!(stop);
        stop.as_mut().enable();
        if !self.is_stopping() {
            stop.await;
        }
    }

    /// Runs of the last life are all in hand.
    pub(crate) fn recovered(&self) {
        if self.recovering.swap(false, Ordering::AcqRel) && !self.is_closed() {
            self.node.set_open(true);
        }
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// A run waits in the queue from `not_before` on: the dispatcher shall know.
    pub(crate) fn note_queued(&self, live: &ActiveDeployment, not_before: Timestamp) {
        live.gate.add_queued(1);
        if not_before <= self.clock.now() {
            self.node.backlog.add(&live.gate);
        } else {
            self.delayed(not_before);
        }
    }

    /// Some run is due at `not_before`.
    pub(crate) fn delayed(&self, not_before: Timestamp) {
        if self.delayed_until.fetch_min(not_before.as_millis(), Ordering::AcqRel) > not_before.as_millis() {
            self.node.backlog.wake();
        }
    }

    /// Counts and reports a failure of the store.
    pub(crate) fn store_failed(&self, error: &StoreError) {
        if error.is_transient() || matches!(error, StoreError::ReadOnly { .. } | StoreError::Damaged { .. }) {
            self.metrics.store_errors.inc();
            // Every call of a busy host meets the same full disk: one line a second tells it.
            let now = self.clock.now().as_millis();
            let last = self.reported.swap(now, Ordering::AcqRel);
            if now.abs_diff(last) >= REPORT_EVERY {
                tracing::warn!(%error, code = %error.code(), "the store failed");
            } else {
                self.reported.store(last, Ordering::Release);
            }
        }
    }

    /// Leaves a failing store alone for a while; ends early when the host stops.
    pub(crate) async fn pause_after_failure(self: &Arc<Self>, failures: u32) {
        tokio::select! {
            () = tokio::time::sleep(crate::run::execution::back_off(failures)) => {}
            () = self.stopping() => {}
        }
    }
}

impl ControlPlane {
    /// One turn of every loop but housekeeping at the clock's present time, in the order of dependence; for hosts that were started
    /// still. Runs
    /// that it dispatches go on by themselves. Returns when nothing more is due.
    ///
    /// # Errors
    /// The first failure of a loop; the others have had their turn all the same.
    pub async fn tick_all(&self) -> Result<(), ControlError> {
        use crate::reconcile::Reconciler as _;
        let mut first = Ok(());
        let take_over = RecoveryReconciler::new(Arc::clone(&self.0));
        let scheduler = Scheduler::new(Arc::clone(&self.0));
        let delivering = DeliveryReconciler::new(Arc::clone(&self.0));
        let cancels = CancellationReconciler::new(Arc::clone(&self.0));
        let operations = OperationReconciler::new(Arc::clone(&self.0));
        let housekeeping = RetentionReconciler::new(Arc::clone(&self.0));
        let dispatcher = Dispatcher::new(Arc::clone(&self.0));
        loop {
            let now = self.0.clock.now();
            let mut more = false;
            for progress in [
                take_over.tick(now).await,
                cancels.tick(now).await,
                operations.tick(now).await,
                scheduler.tick(now).await,
                delivering.tick(now).await,
                housekeeping.tick(now).await,
                dispatcher.tick(now).await,
            ] {
                match progress {
                    Ok(progress) => more |= progress.rest == NextTick::Now,
                    Err(error) => first = first.and(Err(error)),
                }
            }
            if !more || first.is_err() {
                break;
            }
        }
        if let Some(scrubbing) = ScrubReconciler::new(&self.0) {
            first = first.and(scrubbing.tick(self.0.clock.now()).await.map(drop));
        }
        first
    }
}
