//! The control plane: one front for every request to a host, over the store and the engine.
//!
//! Each noun's operations are in the files of its folder (`deployment`, `run`, `schedule`,
//! `topic`). This file holds the one list of loops, and how a host starts and shuts down.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::Clock;
use tidemill_core::clock::Stopwatch;
use tidemill_core::ids::Owner;
use tidemill_core::money::Currencies;
use tidemill_store::Store;
use tidemill_store::records::{FindingFilter, PageRequest, Scrub};
use tidemill_store::traits::StoreHealth;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::alerts::AlertMonitor;
use crate::alerts::reconciler::AlertReconciler;
use crate::alerts::sender::NotificationReconciler;
use crate::config::HostConfig;
use crate::deployment::active::DeploymentRegistry;
use crate::deployment::changes::DeploymentChanges;
use crate::deployment::component_files::remove_unnamed_components;
use crate::error::ControlError;
use crate::guests::GuestExecutor;
use crate::healing::HealingMonitor;
use crate::healing::reconciler::HealingReconciler;
use crate::health::HealthMonitor;
use crate::health::reconciler::HealthReconciler;
use crate::hook::paypal::PaypalVerification;
use crate::hook::state::HookMonitor;
use crate::hook::stored_body::BodyCodec;
use crate::ledger_units;
use crate::metrics::Metrics;
use crate::reconcile::backlog::BacklogReconciler;
use crate::reconcile::breakers::BreakerReconciler;
use crate::reconcile::cancellations::CancellationReconciler;
use crate::reconcile::delivery::DeliveryReconciler;
use crate::reconcile::dispatcher::Dispatcher;
use crate::reconcile::findings::FindingReconciler;
use crate::reconcile::grants::GrantReconciler;
use crate::reconcile::key_rotation::KeyRotationReconciler;
use crate::reconcile::operations::OperationReconciler;
use crate::reconcile::recovery::RecoveryReconciler;
use crate::reconcile::reservations::ReservationReconciler;
use crate::reconcile::retention::RetentionReconciler;
use crate::reconcile::scheduler::Scheduler;
use crate::reconcile::scrub::ScrubReconciler;
use crate::reconcile::scrub_status::ScrubStatus;
use crate::reconcile::secrets::SecretReconciler;
use crate::reconcile::zones::ZoneReconciler;
use crate::reconcile::{self, NextTick, Reconciler};
use crate::run::admission::Admission;
use crate::run::effects::EffectHandler;
use crate::run::local::LocalRuns;
use crate::schedule::monitor::{BlockedSchedules, ScheduleMonitor, Setback};
use crate::secret::keys;
use crate::shutdown::Shutdown;
use crate::state::{ControlPlane, HostState};
use crate::store_failures::StoreFailures;
use crate::topic::deliveries::Deliveries;

/// Time allowed at shutdown for interrupted runs to commit.
const HAND_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns every loop, in the order of dependence.
fn loops(host: &Arc<HostState>) -> Vec<Box<dyn Reconciler>> {
    let mut loops: Vec<Box<dyn Reconciler>> = vec![
        Box::new(RecoveryReconciler::new(host)),
        Box::new(CancellationReconciler::new(host)),
        Box::new(OperationReconciler::new(host)),
        Box::new(Scheduler::new(host)),
        Box::new(DeliveryReconciler::new(host)),
        Box::new(BacklogReconciler::new(host)),
        Box::new(RetentionReconciler::new(host)),
        Box::new(ReservationReconciler::new(host)),
        Box::new(FindingReconciler::new(host)),
        Box::new(GrantReconciler::new(host)),
        Box::new(BreakerReconciler::new(host)),
        Box::new(Dispatcher::new(host)),
        Box::new(ZoneReconciler::new(host)),
        Box::new(SecretReconciler::new(host)),
        Box::new(KeyRotationReconciler::new(host)),
        Box::new(HealthReconciler::new(host)),
        Box::new(HealingReconciler::new(host)),
        Box::new(AlertReconciler::new(host)),
        Box::new(NotificationReconciler::new(host)),
    ];
    if let Some(scrub) = ScrubReconciler::new(host) {
        loops.push(Box::new(scrub));
    }
    loops
}

impl HostState {
    /// Begins a new epoch of the node, and reads the store into memory.
    pub(crate) async fn open(
        config: HostConfig,
        store: Arc<dyn Store>,
        guests: Arc<dyn GuestExecutor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ControlError> {
        keys::prepare(&*store, config.secrets.vault(), clock.now()).await?;
        let epoch = store.begin_epoch(&config.node).await?;
        ledger_units::check(&*store, config.currencies.clone()).await?;
        let last_scrub = store.last_scrub().await?;
        let metrics = Arc::new(Metrics::default());
        if let Some(scrub) = last_scrub {
            metrics.host.scrubbed(scrub.at);
        }
        let deployments = Arc::new(DeploymentRegistry::new(config.policy.clone(), Arc::clone(&clock)));
        let changes = Arc::new(DeploymentChanges::default());
        let store_failures = Arc::new(StoreFailures::new(Arc::clone(&clock), Arc::clone(&metrics)));
        let admission = Admission::new(config.concurrency, Arc::clone(&deployments), Arc::clone(&clock));
        let admission = Arc::new(admission);
        let runs = Arc::new(LocalRuns::default());
        let deliveries = Arc::new(Deliveries::default());
        let bodies = BodyCodec::new(config.secrets.vault().clone());
        let paypal = PaypalVerification::new(Arc::clone(&config.providers), config.paypal_certs.clone());
        let hooks = Arc::new(HookMonitor::new(bodies, paypal));
        let effects = Arc::new(EffectHandler {
            store: Arc::clone(&store),
            admission: Arc::clone(&admission),
            runs: Arc::clone(&runs),
            deliveries: Arc::clone(&deliveries),
            store_failures: Arc::clone(&store_failures),
        });
        let schedules = Arc::new(ScheduleMonitor {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            deployments: Arc::clone(&deployments),
            changes: Arc::clone(&changes),
            policy: config.policy.clone(),
            blocked: BlockedSchedules::default(),
            setback: Setback::default(),
            rescheduled: Notify::new(),
        });
        let health = Arc::new(HealthMonitor::new(clock.now()));
        let healing = Arc::new(HealingMonitor::default());
        let alerts = Arc::new(AlertMonitor::load(&*store, clock.now()).await?);
        let host = Arc::new(Self {
            owner: Owner { node: config.node.clone(), epoch },
            scrubs: Arc::new(ScrubStatus::new(last_scrub, clock.now(), config.scrub_every)),
            config: Arc::new(config),
            store,
            guests,
            clock,
            deployments,
            changes,
            admission,
            runs,
            effects,
            schedules,
            deliveries,
            hooks,
            health,
            healing,
            alerts,
            operation_wake: Notify::new(),
            finding_wake: Notify::new(),
            secret_wake: Notify::new(),
            secret_changes: tokio::sync::Mutex::new(()),
            metrics,
            store_failures,
            shutdown: Shutdown::default(),
            loops: TaskTracker::new(),
            since: Stopwatch::start(),
        });
        host.scrubs.note_index_scrub(&*host.store, &host.metrics, host.clock.now()).await?;
        host.load_secrets().await?;
        host.load().await?;
        host.health.restore(&host.deployments, &*host.store, host.clock.now()).await?;
        host.healing.restore(&host.deployments, &*host.store).await?;
        remove_unnamed_components(&*host.store, &host.config.components_dir).await?;
        host.schedules.check_clock_and_zones().await;
        host.schedules.apply_policy().await?;
        Ok(host)
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
        let host = HostState::open(config, store, guests, clock).await?;
        for reconciler in loops(&host) {
            let (clock, closing) = (Arc::clone(&host.clock), host.shutdown.closing.clone());
            let span = tracing::info_span!("loop", "loop" = reconciler.name());
            host.loops.spawn(reconcile::run(reconciler, clock, closing).instrument(span));
        }
        Ok(Self(host))
    }

    /// The store that backs this host.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The clock that decides every time in control.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The currencies and units that entries of the ledger may have.
    #[must_use]
    pub fn currencies(&self) -> &Currencies {
        &self.0.config.currencies
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
        if self.0.shutdown.is_closing() {
            reasons.push("the host is shutting down".to_owned());
        } else if self.0.admission.is_recovering() {
            reasons.push("runs of the previous epoch are being recovered".to_owned());
        }
        match self.0.store.health() {
            StoreHealth::Good => {}
            StoreHealth::DiskFull => reasons.push("the disk is full".to_owned()),
            StoreHealth::ReadOnly(why) => reasons.push(format!("the store is read-only: {why}")),
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// Returns why findings about the ledger degrade the health of the host; `None` if they do not.
    /// What is on paper never does.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn findings_reason(&self) -> Result<Option<String>, ControlError> {
        if !self.0.config.findings_degrade_health {
            return Ok(None);
        }
        let open = self.0.store.findings(FindingFilter::default(), PageRequest::first(1)).await?;
        let latest = open.items.first();
        Ok(latest
            .map(|latest| format!("the ledger has open findings; the latest is {} ({})", latest.number, latest.kind)))
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
        self.0.metrics.healing.open.set(number(self.0.healing.open_count() as u64));
        self.0.deliveries.measure(&self.0.deployments, &self.0.metrics);
        let mut queued = 0;
        for live in self.0.deployments.all().values() {
            live.metrics.set_gauges(live.limiter.running(), live.limiter.queued());
            live.metrics.set_health(self.0.health.status_of(&live.deployment.name));
            live.metrics.set_breaker(live.limiter.breaker.phase(self.0.clock.now()));
            queued += live.limiter.queued();
        }
        // These counts change while they are read one after another, so clamp the differences at 0.
        let counts = self.0.store.run_counts();
        let here = i64::from(self.0.admission.node.used());
        let suspended = number(counts.unended) - number(counts.running) - number(counts.parked) - number(queued);
        now.suspended.set(suspended.max(0));
        now.orphaned.set((number(counts.running) - here).max(0));
        // If the store cannot be read, the previous values stay.
        if let Ok(backlogs) = self.0.store.backlogs().await {
            self.0.metrics.hooks.set_backlogs(&backlogs);
        }
        let store = &self.0.store;
        if let (Ok(head), Ok(open), Ok(findings)) =
            (store.ledger_head().await, store.open_reservation_count().await, store.open_finding_count().await)
        {
            self.0.metrics.ledger.set_size(&head, open, findings);
        }
        self.measure_alerts().await;
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
        self.0.admission.node.used()
    }

    /// Accepts no new work, lets executing runs finish, hands back those that do not finish in
    /// time, and closes the store. Returns within `within` and a few seconds. A caller that still
    /// waits for a result receives the run in its present state.
    pub async fn shutdown(&self, within: Duration) {
        let host = &self.0;
        if !host.loops.close() {
            // Another call shuts the host down.
            return;
        }
        host.shutdown.closing.cancel();
        host.admission.node.set_open(false);
        // Waiting runs are already stored.
        host.runs.resident.clear();
        let finish = async {
            host.loops.wait().await;
            host.admission.node.wait_until_idle().await;
        };
        if tokio::time::timeout(within, finish).await.is_err() {
            host.shutdown.stopping.cancel();
            if tokio::time::timeout(HAND_BACK_TIMEOUT, host.admission.node.wait_until_idle()).await.is_err() {
                tracing::warn!(
                    running = host.admission.node.used(),
                    "interrupted runs did not commit; the next start recovers them"
                );
            }
        }
        if let Err(error) = host.save_service_histories().await {
            tracing::warn!(%error, "could not record the attempts of the last minutes");
        }
        // The next start then knows since when the host did not run.
        if let Err(error) = host.health.mark_alive(&*host.store, host.clock.now()).await {
            tracing::warn!(%error, "could not record the time of the shutdown");
        }
        if let Err(error) = host.store.close().await {
            tracing::error!(%error, "could not close the store");
        }
    }
}

/// What only tests call.
#[doc(hidden)]
impl ControlPlane {
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
        Ok(Self(HostState::open(config, store, guests, clock).await?))
    }

    /// Waits until this node executes no run.
    pub async fn idle(&self) {
        self.0.admission.node.wait_until_idle().await;
    }

    /// Ticks every loop but that of the time zones, until nothing more is due. For hosts that were
    /// started paused. Dispatched runs execute on tasks of their own.
    ///
    /// # Errors
    /// The first failure of a loop. The other loops have been ticked all the same.
    pub async fn tick_all(&self) -> Result<(), ControlError> {
        let mut loops = loops(&self.0);
        loops.retain(|reconciler| reconciler.name() != ZoneReconciler::NAME);
        loop {
            let now = self.0.clock.now();
            let (mut first, mut more) = (Ok(()), false);
            for reconciler in &loops {
                match reconciler.tick(now).await {
                    Ok(report) => more |= report.next == NextTick::Now,
                    Err(error) => first = first.and(Err(error)),
                }
            }
            if !more || first.is_err() {
                return first;
            }
        }
    }
}
