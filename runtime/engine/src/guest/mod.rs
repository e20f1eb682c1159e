//! What the host keeps beside one running guest: the data of its wasmtime store.

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

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::manifest::Grants;
use tidemill_core::money::Currencies;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::run::Export;
use tidemill_core::{Code, Failure};
use tidemill_store::{Store, StoreError};
use tokio::runtime::Handle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use crate::activation::{RunChannel, RunContext};
use crate::egress::{Egress, EgressPolicy, HttpUsage};
use crate::guest::cancel::{CancelToken, Urgency};
use crate::guest::fuel::Fuel;
use crate::guest::memory::MemoryLimiter;
use crate::guest::run_log::RunLog;
use crate::guest::trap::GuestStop;
use crate::host::abi::ReturnedCodes;
use crate::host::events::KnownTopics;
use crate::host::wasi::TimerTable;
use crate::replay::state::{ExitReason, ReplayState};
use crate::secrets::SecretSource;
use crate::transaction::{ReadConflict, Transaction, TransactionLimit};

/// Time that a guest may be active after it was told to end.
const GRACE_ACTIVE: Duration = Duration::from_secs(30);
/// The part of its limit of fuel that a guest may use after it was told to end.
pub(crate) const GRACE_FUEL: u64 = 10;
/// The time after it was told to end, waits included, in milliseconds.
pub(crate) const GRACE_WAITS: u64 = 3_600_000;
/// Resources that one guest may hold at once (streams, timers).
const RESOURCES: usize = 1_000;
/// Tries of a read that the store could not answer at once, and the first wait between two, which doubles.
const STORE_TRIES: u32 = 6;
const STORE_WAIT: Duration = Duration::from_millis(50);

/// What all guests of an engine share.
pub(crate) struct HostServices {
    /// Where state and ledger are read.
    pub store: Arc<dyn Store>,
    /// Where secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// What sends requests.
    pub egress: Arc<Egress>,
    /// Where they may go.
    pub policy: Arc<EgressPolicy>,
    /// What the operator lets deployments be granted.
    pub operator: PolicyInForce,
    /// The units of money.
    pub currencies: Currencies,
    /// The most memory that any guest may have, in bytes.
    pub memory_max: u64,
    /// After so many entries what is recorded is saved.
    pub save_entries: u32,
}

/// One guest's data.
pub(crate) struct GuestState {
    /// Who and why.
    pub run: Arc<RunContext>,
    /// Which export runs.
    pub export: Export,
    /// What is beyond the sandbox.
    pub outside: Arc<HostServices>,
    /// Takes what the guest says.
    pub sink: Arc<dyn RunChannel>,
    /// Its log, and its clock.
    pub log: Arc<RunLog>,
    /// Its past.
    pub history: ReplayState,
    /// Its memory.
    pub memory: MemoryLimiter,
    /// Its buffered effects.
    pub stretch: Transaction,
    /// WASI's resources.
    pub table: ResourceTable,
    /// Which of them are timers.
    pub timers: TimerTable,
    /// What is left of wasmtime-wasi; made when it is first asked for.
    pub wasi: Option<Box<WasiCtx>>,
    /// The host's own threads, for what guests must not delay.
    pub io: Handle,
    /// The HTTP that it has used.
    pub usage: Arc<HttpUsage>,
    /// Ticks that it has used.
    pub ticks: u64,
    /// Its fuel.
    pub fuel: Fuel,
    /// What the generation had used, as far as whoever activates it knows.
    pub fuel_used: u64,
    /// Which topics of its stretch were there when it looked.
    pub known_topics: KnownTopics,
    /// The host's codes that its calls were answered with.
    pub answered_codes: ReturnedCodes,
    /// Set where it was just told of its cancellation, until its fuel is that of its grace.
    pub begins_grace: bool,
    cancel: CancelToken,
    told_at: Option<Duration>,
}

impl GuestState {
    /// What the deployment may reach at this moment.
    pub fn grants(&self) -> Arc<Grants> {
        self.sink.grants().unwrap_or_else(|| Arc::clone(&self.run.grants))
    }

    /// The data of a guest that has not run yet.
    #[expect(clippy::too_many_arguments, reason = "each is another thing, and all are needed from the start")]
    pub fn new(
        run: Arc<RunContext>,
        export: Export,
        outside: Arc<HostServices>,
        sink: Arc<dyn RunChannel>,
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
            memory: MemoryLimiter::new(run.limits.memory, outside.memory_max),
            run,
            export,
            outside,
            sink,
            log,
            stretch: Transaction::default(),
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
            begins_grace: false,
            history,
            cancel,
            told_at: None,
        }
    }

    /// A failure that the guest hands over, within the bounds of one.
    pub fn accept(&self, failure: Failure) -> Failure {
        failure.from_guest(|code| self.answered_codes.contains(&code))
    }

    /// Before each call that a health check may not make.
    pub fn not_in_health_check(&self, call: &str) -> Result<(), Failure> {
        if self.export == Export::Health {
            return Err(Code::NotInHealthCheck.failure(format!("a health check may not call `{call}`")));
        }
        Ok(())
    }

    /// At each tick that finds the guest running: whether it may go on.
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
                let since = *self.told_at.get_or_insert(now);
                if now.saturating_sub(since) > GRACE_ACTIVE { Err(out_of_time().by_epoch()) } else { Ok(()) }
            }
        }
    }

    /// The fuel that it may still use, once, right after it was told of its cancellation.
    pub fn begins_grace(&mut self) -> Option<u64> {
        std::mem::take(&mut self.begins_grace).then(|| self.run.limits.fuel.get() / GRACE_FUEL)
    }

    /// Whether what it does now undoes what it did before: after a cancellation, or in a step that says so.
    pub fn is_compensating(&self) -> bool {
        self.history.told.is_some() || self.history.frames.iter().any(|frame| frame.undoes)
    }

    /// The token that ends it.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// A read has changed: the stretch is void, and will be done again.
    pub fn void(&mut self, _: ReadConflict) -> GuestStop {
        self.exit(ExitReason::Retry)
    }
}

/// The end of a cancelled run that was active for too long after it was asked to end.
fn out_of_time() -> GuestStop {
    let seconds = GRACE_ACTIVE.as_secs();
    GuestStop::new(
        Code::LimitGrace,
        format!("the run was cancelled, and was active for more than {seconds} s after that"),
    )
}

/// The end of a cancelled run whose waits took too long after it was told of its cancellation.
pub(crate) fn out_of_waits() -> GuestStop {
    let minutes = GRACE_WAITS / 60_000;
    GuestStop::new(
        Code::LimitGrace,
        format!("the run was cancelled, and did not end within {minutes} minutes, waits included"),
    )
}

/// The end of a run that is terminated.
pub(crate) fn cancelled() -> GuestStop {
    GuestStop::new(Code::Cancelled, "the run was cancelled")
}

impl From<TransactionLimit> for Failure {
    fn from(much: TransactionLimit) -> Self {
        Code::LimitCommit.failure(much.to_string())
    }
}

/// Reads the store: a moment's failure is waited out, and a lasting one ends the run rather than to show as the
/// guest's.
pub(crate) async fn read<T, F>(mut ask: impl FnMut() -> F) -> Result<T, GuestStop>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = STORE_WAIT;
    let mut tries = 1;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_transient() && tries < STORE_TRIES => {
                tracing::warn!(%error, tries, "reading the store failed; trying again");
                tokio::time::sleep(wait).await;
                wait *= 2;
                tries += 1;
            }
            Err(error) => {
                // The run's failure reaches other guests, which learn nothing about the host's files from it.
                tracing::error!(%error, "a run ended because the store could not be read");
                return Err(GuestStop::new(error.code(), "the store could not be read; the host's log says why"));
            }
        }
    }
}
