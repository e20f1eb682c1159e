//! One activation from instance to outcome, as one future that owns all of its state. It runs on
//! the guests' threads. It can be moved between them, or dropped at any await.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tidemill_core::{Code, Fuel};
use tokio::runtime::Handle;
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};

use crate::activation::Activation;
use crate::activation::exports;
use crate::activation::result::{ActivationResult, Checkpoint, NextAttempt, Outcome};
use crate::component::module::Module;
use crate::guest;
use crate::guest::cancel::Urgency;
use crate::guest::cpu::Meter;
use crate::guest::fuel::charge;
use crate::guest::run_log::RunLog;
use crate::guest::trap;
use crate::guest::trap::Cause;
use crate::guest::trap::GuestStop;
use crate::guest::{GuestState, HostServices};
use crate::replay::state::{ExitReason, NameCounters, ReplaySnapshot, ReplayState};

/// Maximum size of the arguments of one host call, in bytes.
const HOST_CALL_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of component-model handles of one instance.
const HANDLES: usize = 10_000;
/// Number of ticks after which a call moves to the slow threads.
const QUICK_TICKS: u64 = 3;
/// Code with which the SDKs fail if a signal's payload does not have the expected shape.
const BAD_SIGNAL: &str = "bad-signal";

/// Executes an activation. Every failure is part of the result.
pub(crate) async fn execute(
    engine: Engine,
    services: Arc<HostServices>,
    module: Arc<Module>,
    activation: Activation,
    meter: Arc<Meter>,
    io: Handle,
    dry: bool,
) -> ActivationResult {
    let Activation { export, input, run, journal, snapshot, fuel_used, cancel, channel } = activation;
    let limits = run.limits.clone();
    let log = Arc::new(RunLog::new(&run, Arc::clone(&services.clock), Arc::clone(&channel)));
    let lifetime = limits.lifetime_millis.map(|millis| {
        let over = run.created_at.plus_millis(millis);
        std::time::Duration::from_millis(over.millis_since(log.clock.now()))
    });
    let (snapshot, unread) = match snapshot.map(|snapshot| ReplaySnapshot::read(&snapshot)).transpose() {
        Ok(snapshot) => (snapshot, None),
        Err(error) => (None, Some(error)),
    };
    let root = NameCounters::root(run.seed, run.generation, run.step_retry);
    let mut history = ReplayState::new(journal, snapshot, root);
    history.dry = dry;
    let log_of_guest = Arc::clone(&log);
    let (fuel_used, io_cancel) = (fuel_used.get(), cancel.clone());
    let guest =
        GuestState::new(Arc::clone(&run), export, services, channel, log_of_guest, io_cancel, io, history, fuel_used);
    let mut store = Store::new(&engine, guest);
    let ran = match prepare(&mut store, unread, meter) {
        // A run that is already terminated executes nothing.
        Ok(()) if cancel.urgency() == Urgency::Now => Err(guest::cancelled().into()),
        Ok(()) => {
            tokio::select! {
                biased;
                ran = exports::call(&mut store, &module, export, &input) => ran,
                () = cancel.reached(Urgency::Now) => Err(guest::cancelled().by_epoch().into()),
                () = over(lifetime) => Err(out_of_lifetime(limits.lifetime_millis).by_epoch().into()),
            }
        }
        Err(error) => Err(error),
    };
    let ran = ran.and_then(|returned| charge::settle(&mut store).map(|()| returned));
    let ran = ran.and_then(|returned| store.data_mut().finish_replay(&returned).map(|()| returned));
    log.finish();
    let left = store.get_fuel().unwrap_or_default();
    let mut guest = store.into_data();
    let exited = guest.exit_outcome();
    let (outcome, by_epoch) = match (exited, ran.and_then(|output| output.check(&guest))) {
        (Some(outcome), _) => (outcome, false),
        (None, Ok(outcome)) => (outcome, false),
        (None, Err(error)) => {
            let verdict = match trap::classify(&error, &limits, || log.panic()) {
                verdict if verdict.failure.code != Code::LimitFuel.as_str() => verdict,
                _ if guest.history.notice.is_some() => trap::out_of_grace(),
                _ if !guest.history.live => trap::out_of_replay(&limits),
                verdict => verdict,
            };
            (Outcome::Failed { failure: verdict.failure, cause: verdict.cause }, verdict.by_epoch)
        }
    };
    let fuel = guest.fuel.used((!by_epoch).then_some(left));
    tracing::debug!(outcome = outcome.name(), fuel, "activation ended");
    result_of(guest, outcome, fuel)
}

fn same(left: Checkpoint) -> (Checkpoint, Checkpoint) {
    (left.clone(), left)
}

/// Returns the result of an activation, by how it ended.
fn result_of(mut guest: GuestState, outcome: Outcome, fuel: u64) -> ActivationResult {
    let generation = guest.history.entry_fuel.max(guest.fuel.before().saturating_add(fuel));
    let redo = guest.history.exit == Some(ExitReason::Retry);
    let replays = !guest.history.live;
    let again = guest.redo_checkpoint();
    let (all, kept) = match &outcome {
        _ if redo => {
            guest.history.journal.not_written();
            guest.history.journal.truncate(again.journal_to);
            (again.clone(), Checkpoint::default())
        }
        Outcome::Output(_) => {
            let all = guest.full_checkpoint();
            guest.channel.before_commit(&all.effects);
            (all, Checkpoint::default())
        }
        Outcome::ContinueAsNew { .. } => (guest.full_checkpoint(), Checkpoint::default()),
        // Everything is committed, or nothing has happened.
        Outcome::Suspended | Outcome::Failed { cause: Cause::Mismatch, .. } => same(guest.unchanged_checkpoint()),
        Outcome::Failed { .. } if replays => same(guest.unchanged_checkpoint()),
        Outcome::Failed { failure, cause } => {
            let mut kept = guest.retry_checkpoint(generation);
            // The next attempt would receive the same signal, and fail again.
            if *cause == Cause::Guest && failure.code == BAD_SIGNAL {
                kept.effects.taken.extend(guest.transaction.last_taken());
            }
            (guest.full_checkpoint(), kept)
        }
    };
    let next_attempt = match &outcome {
        Outcome::Failed { failure, cause: Cause::Guest } => guest.next_attempt(failure),
        _ => NextAttempt::default(),
    };
    ActivationResult {
        outcome,
        all,
        kept,
        again,
        next_attempt,
        fuel: Fuel::new(fuel),
        peak_memory: guest.memory.peak(),
        redo,
        notified: guest.history.notice.is_some(),
        journal: Some(guest.history.journal),
    }
}

fn prepare(store: &mut Store<GuestState>, unread: Option<postcard::Error>, meter: Arc<Meter>) -> wasmtime::Result<()> {
    if let Some(error) = unread {
        return Err(GuestStop::new(Code::StoreDamaged, format!("the replay snapshot cannot be read: {error}")).into());
    }
    let guest = store.data_mut();
    if guest.history.journal.is_live() {
        guest.go_live()?;
    } else {
        guest.log.replays();
    }
    let budget = guest.fuel.begin();
    store.limiter(|guest| &mut guest.memory);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_max_component_handles(HANDLES);
    store.set_fuel(budget)?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store: StoreContextMut<'_, GuestState>| {
        charge::check_balance(&store)?;
        let guest = store.data_mut();
        guest.tick(meter.past())?;
        if guest.ticks == QUICK_TICKS {
            meter.request_slow();
        }
        if !guest.is_save_due() {
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
        }
        let Some((channel, pending)) = guest.take_unsaved()? else {
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
        };
        let lost = Arc::clone(&guest.history.lost);
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                if !channel.save(pending).await {
                    lost.store(true, Relaxed);
                }
            }),
        ))
    });
    Ok(())
}

async fn over(lifetime: Option<std::time::Duration>) {
    match lifetime {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

fn out_of_lifetime(millis: Option<u64>) -> GuestStop {
    let millis = millis.unwrap_or_default();
    let message = format!(
        "the run did not end within {millis} ms; raise it with `lifetime = \"{}s\"` under `[limits]`",
        (millis / 500).max(1)
    );
    GuestStop::new(Code::LimitLifetime, message)
}
