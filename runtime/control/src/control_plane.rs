//! The control plane: one front for every request to a host, over the store and the engine.
//!
//! Each noun's operations are in the files of its folder (`deployment`, `run`, `schedule`,
//! `topic`). This file holds the state that they share, and how a host starts and shuts down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::ids::Owner;
use tidemill_core::retry::Backoff;
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
use crate::schedule::blocked::BlockedSchedules;
use crate::schedule::clock_setback::Setback;

/// Number of deployments in one page of the store's list, at the start.
const PAGE: usize = 500;
/// Minimum interval between logged store failures, in milliseconds.
const REPORT_INTERVAL_MILLIS: u64 = 1_000;
/// Pause after failures of the store in a row.
pub(crate) const STORE_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), factor: 2, max: Duration::from_secs(5) };
/// Time allowed at shutdown for interrupted runs to commit.
const HAND_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that all of control shares.
pub(crate) struct HostState {
    pub(crate) config: HostConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) guests: Arc<dyn GuestExecutor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) owner: Owner,
    pub(crate) deployments: DeploymentRegistry,
    pub(crate) blocked: BlockedSchedules,
    pub(crate) node: Arc<NodeLimiter>,
    pub(crate) registry: RunRegistry,
    pub(crate) resident: ResidentRuns,
    pub(crate) collections: SuspendedCollections,
    pub(crate) completions: Arc<CompletionWatchers>,
    pub(crate) metrics: Metrics,
    pub(crate) scrubs: ScrubStatus,
    /// Wakes the scheduler: the next time of a schedule has changed.
    pub(crate) rescheduled: Notify,
    /// The events that wait for subscriptions.
    pub(crate) deliveries: Deliveries,
    /// Wakes the loop that executes operations.
    pub(crate) operation_wake: Notify,
    /// When the dispatcher must next look for delayed runs, in milliseconds.
    pub(crate) delayed_until: AtomicU64,
    /// Serializes changes of deployments, so that the state in memory follows the order of the
    /// commits.
    pub(crate) changes: Mutex<()>,
    /// Deployments that are being deleted. Other requests cannot change them.
    pub(crate) deleting: std::sync::Mutex<BTreeSet<DeploymentName>>,
    /// Runs since the host was created.
    pub(crate) since: Stopwatch,
    /// Whether the host accepts no new work.
    closed: AtomicBool,
    /// Whether executing runs are interrupted and handed back.
    stopping: AtomicBool,
    stop: Notify,
    loops: std::sync::Mutex<Vec<JoinHandle<()>>>,
    close: Notify,
    recovering: AtomicBool,
    /// When a store failure was last logged, in milliseconds.
    reported: AtomicU64,
    pub(crate) setback: Setback,
}

/// A running host. A clone is cheap and refers to the same host.
#[derive(Clone)]
pub struct ControlPlane(pub(crate) Arc<HostState>);

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("owner", &self.0.owner).finish_non_exhaustive()
    }
}

/// Whether the host can do its work, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether requests should be sent to this host.
    pub ready: bool,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<String>,
}

impl ControlPlane {
    /// Begins a new epoch of the node, recovers the runs of the previous one, and starts all loops.
    ///
    /// # Errors
    /// If the store cannot be read or written.
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

    /// Starts a host whose loops do not run. The caller moves the clock and calls
    /// [`ControlPlane::tick_all`].
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start_paused(
        config: HostConfig,
        store: Arc<dyn Store>,
        guests: Arc<dyn GuestExecutor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ControlError> {
        let epoch = store.begin_epoch(&config.node).await?;
        let last_scrub = store.last_scrub().await?;
        let scrubs = ScrubStatus::new(last_scrub, clock.now(), config.scrub_every);
        let metrics = Metrics::default();
        if let Some(scrub) = last_scrub {
            metrics.host.scrubbed(scrub.at);
        }
        let inner = Arc::new(HostState {
            owner: Owner { node: config.node.clone(), epoch },
            node: NodeLimiter::new(config.concurrency),
            deployments: DeploymentRegistry::new(config.policy.clone()),
            blocked: BlockedSchedules::default(),
            config,
            store,
            guests,
            clock,
            registry: RunRegistry::default(),
            resident: ResidentRuns::default(),
            collections: SuspendedCollections::default(),
            completions: Arc::default(),
            metrics,
            scrubs,
            rescheduled: Notify::new(),
            deliveries: Deliveries::default(),
            operation_wake: Notify::new(),
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
        inner.check_clock_and_zones().await;
        inner.apply_policy().await?;
        // Admission stays closed until leftover runs are recovered.
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

    /// The store that backs this host.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The executor of the runs.
    #[must_use]
    pub fn guests(&self) -> &Arc<dyn GuestExecutor> {
        &self.0.guests
    }

    /// The clock that decides every time in control.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The node and its current epoch.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Returns whether requests should be sent to this host, and if not, why.
    #[must_use]
    pub fn ready(&self) -> Readiness {
        let mut reasons = Vec::new();
        if self.0.is_closed() {
            reasons.push("the host is shutting down".to_owned());
        } else if self.0.recovering.load(Ordering::Acquire) {
            reasons.push("runs of the previous epoch are being recovered".to_owned());
        }
        match self.0.store.health() {
            StoreHealth::Good => {}
            StoreHealth::DiskFull => reasons.push("the disk is full".to_owned()),
            StoreHealth::ReadOnly(why) => reasons.push(format!("the store is read-only: {why}")),
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// Returns all metrics in the text format of Prometheus, gauges of this moment included.
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
        self.0.deliveries.measure(&self.0.deployments, &self.0.metrics);
        let mut queued = 0;
        for live in self.0.deployments.all().values() {
            live.metrics.set_gauges(live.limiter.running(), live.limiter.queued());
            queued += live.limiter.queued();
        }
        // These counts change while they are read one after another, so clamp the differences at 0.
        let counts = self.0.store.run_counts();
        let here = i64::from(self.0.node.used());
        let suspended = number(counts.unended) - number(counts.running) - number(counts.parked) - number(queued);
        now.suspended.set(suspended.max(0));
        now.orphaned.set((number(counts.running) - here).max(0));
        // If the store cannot be read, the previous values stay.
        if let Ok(mut usage) = self.0.store.usage().await {
            let deployments = self.0.deployments.all();
            usage.retain(|(deployment, _)| deployments.contains_key(deployment));
            self.0.metrics.set_usage(&usage, &self.0.store.quotas());
        }
        self.0.metrics.encode()
    }

    /// Returns the last scrub that found all stored data sound, in this epoch or an earlier one.
    #[must_use]
    pub fn last_scrub(&self) -> Option<Scrub> {
        self.0.scrubs.last()
    }

    /// Returns the number of runs that this node executes now.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.0.node.used()
    }

    /// Waits until this node executes no run.
    pub async fn idle(&self) {
        self.0.node.wait_until_idle().await;
    }

    /// Accepts no new work, lets executing runs finish, hands back those that do not finish in
    /// time, and closes the store. Returns within `within` and a few seconds. A caller that still
    /// waits for a result receives the run in its present state.
    pub async fn shutdown(&self, within: Duration) {
        let host = &self.0;
        if host.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        host.node.set_open(false);
        host.close.notify_waiters();
        // Waiting runs are already stored.
        host.resident.clear();
        let loops = std::mem::take(&mut *host.loops.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let finish = async {
            for task in loops {
                // A loop that panicked has ended too.
                let _ = task.await;
            }
            host.node.wait_until_idle().await;
        };
        if tokio::time::timeout(within, finish).await.is_err() {
            host.stopping.store(true, Ordering::Release);
            host.stop.notify_waiters();
            if tokio::time::timeout(HAND_BACK_TIMEOUT, host.node.wait_until_idle()).await.is_err() {
                tracing::warn!(
                    running = host.node.used(),
                    "interrupted runs did not commit; the next start recovers them"
                );
            }
        }
        if let Err(error) = host.store.close().await {
            tracing::error!(%error, "could not close the store");
        }
    }
}

/// Runs `work` to completion even if the caller is dropped, so that a commit is always followed by
/// its in-memory updates.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Result<T, ControlError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(ControlError::refused(Code::Internal, format!("the operation was interrupted: {error}"))),
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
            self.deployments.put_all(&self.metrics, plans);
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => break,
            }
        }
        for live in self.deployments.all().values().filter(|live| live.plan.exports.contains(&Export::RevenueStream)) {
            self.restore_stream_lock(live).await?;
        }
        self.recount().await?;
        for name in self.store.waiting_deployments(Timestamp::MAX).await? {
            if let Some(live) = self.deployments.get(&name) {
                self.node.backlog.add(&live.limiter);
            }
        }
        Ok(())
    }

    /// Recounts the waiting and parked runs. Cancelled and debounced runs leave the queue without
    /// changing the counter in memory.
    pub(crate) async fn recount(&self) -> Result<(), ControlError> {
        for live in self.deployments.all().values() {
            let queued = self.store.waiting(&live.deployment.name).await?;
            live.limiter.set_queued(i64::try_from(queued).unwrap_or(i64::MAX));
        }
        let parked = match self.store.run_counts().parked {
            0 => Vec::new(),
            _ => self.store.parked_groups(ParkedFilter::default()).await?,
        };
        self.metrics.set_parked(&parked);
        Ok(())
    }

    /// Locks the stream again if one of its collections is suspended, because a collection keeps
    /// its stream over a restart.
    async fn restore_stream_lock(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let deployment = Some(live.deployment.name.clone());
        let filter = RunFilter { deployment, states: vec!["suspended".to_owned()], ..RunFilter::default() };
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.runs(filter.clone(), page).await?;
            if let Some(run) = found.items.iter().find(|run| run.export == Export::RevenueStream) {
                if let Ok(guard) = Arc::clone(&live.collecting).try_lock_owned() {
                    self.collections.insert(run.id, guard);
                }
                return Ok(());
            }
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(()),
            }
        }
    }

    /// Returns the deployment `name`.
    pub(crate) fn live(&self, name: &DeploymentName) -> Result<Arc<ActiveDeployment>, ControlError> {
        self.deployments.get(name).ok_or_else(|| ControlError::no_deployment(name))
    }

    /// Refuses the request if the host is shutting down.
    pub(crate) fn check_open(&self) -> Result<(), ControlError> {
        if self.is_closed() { Err(ControlError::shutting_down()) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until the host accepts no new work.
    pub(crate) async fn closing(&self) {
        let ended = self.close.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// Waits until executing runs are handed back.
    pub(crate) async fn stopping(self: &Arc<Self>) {
        let stop = self.stop.notified();
        tokio::pin!(stop);
        stop.as_mut().enable();
        if !self.is_stopping() {
            stop.await;
        }
    }

    /// Opens admission: every run of the previous epoch is recovered.
    pub(crate) fn open_after_recovery(&self) {
        if self.recovering.swap(false, Ordering::AcqRel) && !self.is_closed() {
            self.node.set_open(true);
        }
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Records that a run waits in the queue from `not_before`, and notifies the dispatcher.
    pub(crate) fn note_queued(&self, live: &ActiveDeployment, not_before: Timestamp) {
        live.limiter.add_queued(1);
        if not_before <= self.clock.now() {
            self.node.backlog.add(&live.limiter);
        } else {
            self.note_delayed(not_before);
        }
    }

    /// Records that a run is due at `not_before`.
    pub(crate) fn note_delayed(&self, not_before: Timestamp) {
        if self.delayed_until.fetch_min(not_before.as_millis(), Ordering::AcqRel) > not_before.as_millis() {
            self.node.backlog.wake();
        }
    }

    /// Counts and logs a failure of the store.
    pub(crate) fn store_failed(&self, error: &StoreError) {
        if error.is_transient() || matches!(error, StoreError::ReadOnly { .. } | StoreError::Damaged { .. }) {
            self.metrics.store_errors.inc();
            // On a busy host every call meets the same full disk, so log at most one line per
            // second.
            let now = self.clock.now().as_millis();
            let last = self.reported.swap(now, Ordering::AcqRel);
            if now.abs_diff(last) >= REPORT_INTERVAL_MILLIS {
                tracing::warn!(%error, code = %error.code(), "the store failed");
            } else {
                self.reported.store(last, Ordering::Release);
            }
        }
    }

    /// Backs off after a store failure. Returns early on shutdown.
    pub(crate) async fn pause_after_failure(self: &Arc<Self>, failures: u32) {
        tokio::select! {
            () = tokio::time::sleep(STORE_BACKOFF.pause(failures)) => {}
            () = self.stopping() => {}
        }
    }
}

impl ControlPlane {
    /// Ticks every loop but that of the time zones, in the order of dependence, until nothing more
    /// is due; then scrubs if a scrub is due. For hosts that were started paused. Dispatched runs
    /// execute on tasks of their own.
    ///
    /// # Errors
    /// The first failure of a loop. The other loops have been ticked all the same.
    pub async fn tick_all(&self) -> Result<(), ControlError> {
        use crate::reconcile::Reconciler as _;
        let mut first = Ok(());
        let recovery = RecoveryReconciler::new(Arc::clone(&self.0));
        let scheduler = Scheduler::new(Arc::clone(&self.0));
        let delivery = DeliveryReconciler::new(Arc::clone(&self.0));
        let cancels = CancellationReconciler::new(Arc::clone(&self.0));
        let operations = OperationReconciler::new(Arc::clone(&self.0));
        let retention = RetentionReconciler::new(Arc::clone(&self.0));
        let dispatcher = Dispatcher::new(Arc::clone(&self.0));
        loop {
            let now = self.0.clock.now();
            let mut more = false;
            for progress in [
                recovery.tick(now).await,
                cancels.tick(now).await,
                operations.tick(now).await,
                scheduler.tick(now).await,
                delivery.tick(now).await,
                retention.tick(now).await,
                dispatcher.tick(now).await,
            ] {
                match progress {
                    Ok(progress) => more |= progress.next == NextTick::Now,
                    Err(error) => first = first.and(Err(error)),
                }
            }
            if !more || first.is_err() {
                break;
            }
        }
        if let Some(scrub) = ScrubReconciler::new(&self.0) {
            first = first.and(scrub.tick(self.0.clock.now()).await.map(drop));
        }
        first
    }
}
