//! The data of a guest's wasmtime store: what the host keeps for one running guest.

pub(crate) mod cancel;
pub(crate) mod cpu;
pub(crate) mod fuel;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod panic;
pub(crate) mod random;
pub(crate) mod run_log;
pub(crate) mod stack;
pub(crate) mod trap;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::manifest::Grants;
use tidemill_core::money::Currencies;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::retry::Backoff;
use tidemill_core::run::Export;
use tidemill_core::{Clock, Code, Failure, Topic};
use tidemill_store::{Store, StoreError};
use tokio::runtime::Handle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Instant;

use crate::activation::channel::RunChannel;
use crate::activation::run_context::RunContext;
use crate::egress::{Egress, EgressPolicy, HttpUsage};
use crate::guest::cancel::{CancelToken, Urgency};
use crate::guest::fuel::account::Fuel;
use crate::guest::memory::MemoryLimiter;
use crate::guest::run_log::RunLog;
use crate::guest::trap::GuestStop;
use crate::replay::state::{ExitReason, ReplayState};
use crate::secrets::SecretSource;
use crate::transaction::{ReadConflict, Transaction, TransactionLimit};

/// Maximum active time after a guest was notified of its cancellation.
const GRACE_ACTIVE: Duration = Duration::from_secs(30);
/// Maximum time after the notice, waits included, in milliseconds.
pub(crate) const GRACE_WAITS: u64 = 3_600_000;
/// Maximum number of resources (streams, timers) that one guest holds.
const RESOURCES: usize = 1_000;
/// Maximum attempts to read the store, and the pauses between them.
const STORE_TRIES: u32 = 6;
const STORE_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), factor: 2, max: Duration::from_millis(800) };

/// Services that all guests of an engine share.
pub(crate) struct HostServices {
    /// Source of state and ledger reads.
    pub store: Arc<dyn Store>,
    /// Source of secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// The host's clock.
    pub clock: Arc<dyn Clock>,
    /// Client for outgoing requests.
    pub egress: Arc<Egress>,
    /// Restrictions on the addresses of outgoing requests.
    pub policy: Arc<EgressPolicy>,
    /// Grants that the operator allows deployments.
    pub operator: PolicyInForce,
    /// Currencies and their units.
    pub currencies: Currencies,
    /// Maximum memory of any guest, in bytes.
    pub memory_max: u64,
    /// Maximum number of unsaved journal entries.
    pub save_entries: u32,
}

/// Timers by their pollable's index in the resource table, with their expiry on the monotonic
/// clock. Indexes are reused, so dropping a pollable removes its timer.
pub(crate) type TimerTable = HashMap<u32, Instant>;

/// Host codes that calls have returned to one guest: the guest may fail with these.
pub(crate) type ReturnedCodes = BTreeSet<Code>;

/// The topics of a transaction that existed at the last commit.
#[derive(Debug, Default)]
pub(crate) struct KnownTopics {
    /// The number of commits at the time of the look-up.
    pub at: u32,
    /// Whether each topic existed.
    pub there: BTreeMap<Topic, bool>,
}

/// The data of one guest.
pub(crate) struct GuestState {
    /// The run, its deployment and the reason for the activation.
    pub run: Arc<RunContext>,
    /// The export that runs.
    pub export: Export,
    /// Services outside the sandbox.
    pub services: Arc<HostServices>,
    /// Receives commits, saves and log lines.
    pub channel: Arc<dyn RunChannel>,
    /// The log and clock of the run.
    pub log: Arc<RunLog>,
    /// The replay state.
    pub history: ReplayState,
    /// The memory limiter.
    pub memory: MemoryLimiter,
    /// The transaction.
    pub transaction: Transaction,
    /// WASI resources.
    pub table: ResourceTable,
    /// Timers among the WASI resources.
    pub timers: TimerTable,
    /// The context of wasmtime-wasi, created on first use.
    pub wasi: Option<Box<WasiCtx>>,
    /// The host's own threads, for work that guests must not delay.
    pub io: Handle,
    /// HTTP usage of the generation.
    pub usage: Arc<HttpUsage>,
    /// Number of ticks.
    pub ticks: u64,
    /// The fuel.
    pub fuel: Fuel,
    /// Fuel used by the generation, as far as the caller of the activation knows.
    pub fuel_used: u64,
    /// Topics of the transaction that existed when they were looked up.
    pub known_topics: KnownTopics,
    /// Host codes that the guest's calls have returned.
    pub answered_codes: ReturnedCodes,
    /// Set when the guest is notified, until its fuel is set to that of its grace period.
    pub grace_pending: bool,
    cancel: CancelToken,
    notified_at: Option<Duration>,
}

impl GuestState {
    /// Returns the current grants of the deployment.
    pub fn grants(&self) -> Arc<Grants> {
        self.channel.grants().unwrap_or_else(|| Arc::clone(&self.run.grants))
    }

    /// Returns the data of a guest that has not run yet.
    #[expect(clippy::too_many_arguments, reason = "each is another thing, and all are needed from the start")]
    pub fn new(
        run: Arc<RunContext>,
        export: Export,
        services: Arc<HostServices>,
        channel: Arc<dyn RunChannel>,
        log: Arc<RunLog>,
        cancel: CancelToken,
        io: Handle,
        history: ReplayState,
        fuel_used: u64,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let limit = run.limits.fuel.get();
        Self {
            memory: MemoryLimiter::new(run.limits.memory, services.memory_max),
            run,
            export,
            services,
            channel,
            log,
            transaction: Transaction::default(),
            table,
            timers: TimerTable::default(),
            wasi: None,
            io,
            usage: Arc::default(),
            ticks: 0,
            fuel: Fuel::new(limit, None),
            fuel_used,
            known_topics: KnownTopics::default(),
            answered_codes: ReturnedCodes::default(),
            grace_pending: false,
            history,
            cancel,
            notified_at: None,
        }
    }

    /// Limits a failure from the guest to its bounds.
    pub fn accept(&self, failure: Failure) -> Failure {
        failure.from_guest(|code| self.answered_codes.contains(&code))
    }

    /// Fails in a health check. Called before each call that a health check may not make.
    pub fn not_in_health_check(&self, call: &str) -> Result<(), Failure> {
        if self.export == Export::Health {
            return Err(Code::NotInHealthCheck.failure(format!("a health check may not call `{call}`")));
        }
        Ok(())
    }

    /// Checks at a tick that a running guest may continue.
    pub fn tick(&mut self, now: Duration) -> Result<(), GuestStop> {
        self.ticks += 1;
        let limits = &self.run.limits;
        if now.as_millis() > u128::from(limits.active_millis) {
            return Err(GuestStop::new(
                Code::LimitActive,
                format!(
                    "the run was active for {} ms; raise it with `active = \"{}s\"` under `[limits]`",
                    limits.active_millis,
                    (limits.active_millis / 500).max(1)
                ),
            )
            .by_epoch());
        }
        match self.cancel.urgency() {
            Urgency::None => Ok(()),
            Urgency::Now => Err(cancelled().by_epoch()),
            Urgency::Requested => {
                let since = *self.notified_at.get_or_insert(now);
                if now.saturating_sub(since) > GRACE_ACTIVE { Err(out_of_time().by_epoch()) } else { Ok(()) }
            }
        }
    }

    /// Returns the fuel of the grace period, once, right after the guest was notified.
    pub fn take_grace_fuel(&mut self) -> Option<u64> {
        std::mem::take(&mut self.grace_pending).then(|| self.run.limits.fuel.get() / tidemill_core::limits::GRACE_FUEL)
    }

    /// Whether the guest compensates earlier work: after a cancellation, or in a step that declares
    /// it.
    pub fn is_compensating(&self) -> bool {
        self.history.notice.is_some() || self.history.frames.iter().any(|frame| frame.undoes)
    }

    /// Returns the cancellation token.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// Voids the transaction after a read conflict; it is redone.
    pub fn void(&mut self, _: ReadConflict) -> GuestStop {
        self.exit(ExitReason::Retry)
    }
}

/// The stop of a cancelled run that was active for too long after the notice.
fn out_of_time() -> GuestStop {
    let seconds = GRACE_ACTIVE.as_secs();
    GuestStop::new(
        Code::LimitGrace,
        format!("the run was cancelled and was active for more than {seconds} s after that"),
    )
}

/// The stop of a cancelled run whose waits exceeded the grace period.
pub(crate) fn out_of_waits() -> GuestStop {
    let minutes = GRACE_WAITS / 60_000;
    GuestStop::new(
        Code::LimitGrace,
        format!("the run was cancelled and did not end within {minutes} minutes, waits included"),
    )
}

/// The stop of a terminated run.
pub(crate) fn cancelled() -> GuestStop {
    GuestStop::new(Code::Cancelled, "the run was cancelled")
}

impl From<TransactionLimit> for Failure {
    fn from(limit: TransactionLimit) -> Self {
        Code::LimitCommit.failure(limit.to_string())
    }
}

/// Reads the store. Retries transient failures; a lasting failure ends the run instead of appearing
/// as the guest's failure.
pub(crate) async fn read<T, F>(mut ask: impl FnMut() -> F) -> Result<T, GuestStop>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_transient() && tries < STORE_TRIES => {
                tracing::warn!(%error, tries, "store read failed; retrying");
                tokio::time::sleep(STORE_BACKOFF.pause(tries)).await;
                tries += 1;
            }
            Err(error) => {
                // The run's failure reaches other guests, which must learn nothing about the host's
                // files.
                tracing::error!(%error, "run ended: the store could not be read");
                return Err(GuestStop::new(error.code(), "the store could not be read; the host's log has the cause"));
            }
        }
    }
}
