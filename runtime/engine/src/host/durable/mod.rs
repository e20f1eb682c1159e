//! `tidemill:guest/durable`: steps, other runs, signals, waits, progress and status. A note holds 1
//! KiB, a status 64 KiB.

mod runs;
mod steps;
pub(super) mod waits;

use tidemill_core::Code;
use tidemill_core::journal::Kind;
use tidemill_core::limits::INPUT_BYTES;
use tidemill_core::run::Progress;
use tidemill_core::wire::json;

use super::abi::{Contract, Interface};
use crate::component::bindings::wit::types::Failure;
use crate::guest::GuestState;
use crate::guest::trap::GuestStop;
use crate::replay::state::{ExitReason, hash};

/// Maximum size of a note in bytes; a longer note is cut.
const NOTE_BYTES: usize = 1024;
/// Maximum size of a signal's name, in bytes.
const SIGNAL_NAME_BYTES: usize = 255;
/// Maximum size of a status, in bytes.
const STATUS_BYTES: usize = 64 * 1024;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut durable = Interface::new(contract, "durable")?;
    durable.wait("begin-step", |guest, (name, retry)| Box::pin(steps::begin(guest, name, retry)))?;
    durable.wait("end-step", |guest, (id, outcome)| Box::pin(steps::end(guest, id, outcome)))?;
    durable.wait("start", |guest, (deployment, input, options)| {
        Box::pin(runs::start(guest, deployment, input, options))
    })?;
    durable.wait("signal", |guest, (to, name, payload)| Box::pin(runs::signal(guest, to, name, payload)))?;
    durable.wait("cancel", |guest, (run,)| Box::pin(runs::cancel(guest, run)))?;
    durable.wait("await-first", |guest, (any_of, timeout)| Box::pin(waits::first(guest, any_of, timeout)))?;
    durable.wait("await-all", |guest, (runs, timeout)| Box::pin(waits::all(guest, runs, timeout)))?;
    durable.tell("set-progress", set_progress)?;
    durable.tell("set-status", set_status)?;
    durable.call("continue-as-new", continue_as_new)
}

fn set_progress(guest: &mut GuestState, (done, total, mut note): (u64, Option<u64>, String)) -> wasmtime::Result<()> {
    guest.not_in_health_check("durable.set-progress").map_err(GuestStop::from)?;
    note.truncate(note.floor_char_boundary(NOTE_BYTES));
    if guest.history.live {
        guest.channel.progress(Progress { done, total, note });
    }
    Ok(())
}

fn set_status(guest: &mut GuestState, (status,): (String,)) -> wasmtime::Result<()> {
    guest.not_in_health_check("durable.set-status").map_err(GuestStop::from)?;
    bounded_json("the status", &status, STATUS_BYTES).map_err(GuestStop::from)?;
    if guest.history.live {
        guest.channel.status(status);
    }
    Ok(())
}

/// Ends the activation to continue as new, unless the call is refused.
fn continue_as_new(guest: &mut GuestState, (input,): (String,)) -> wasmtime::Result<Failure> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("durable.continue-as-new"))
        .and_then(|()| not_in_step(guest, "durable.continue-as-new"))
        .and_then(|()| bounded_json("the input", &input, INPUT_BYTES));
    if let Err(failure) = allowed {
        return Ok(failure.into());
    }
    let request = hash(&[input.as_bytes()]);
    if let Some(failure) = guest.replay::<tidemill_core::Failure>(Kind::ContinueAsNew, request)? {
        return Ok(failure.into());
    }
    if let Err(failure) = refuse_if_cancelled(guest, "continues as new") {
        guest.record(Kind::ContinueAsNew, request, &failure, None)?;
        return Ok(failure.into());
    }
    Err(guest.exit(ExitReason::ContinueAsNew(input.into())).into())
}

/// Fails inside a step: a step is work, not waiting.
fn not_in_step(guest: &GuestState, call: &str) -> Result<(), tidemill_core::Failure> {
    if guest.history.depth() == 0 {
        return Ok(());
    }
    Err(Code::WaitInStep.failure(format!("`{call}` is refused inside a step: a step is work, not waiting")))
}

/// Fails if the guest is notified of its cancellation: it starts nothing new. The refusal is
/// recorded, because replay may skip the step in which the notice was given.
fn refuse_if_cancelled(guest: &GuestState, what: &str) -> Result<(), tidemill_core::Failure> {
    if guest.history.notice.is_none() {
        return Ok(());
    }
    Err(Code::Cancelled.failure(format!("the run is being cancelled: it no longer {what}")))
}

fn bad<T>(message: impl Into<String>) -> Result<T, tidemill_core::Failure> {
    Err(Code::BadArgument.failure(message))
}

/// Rejects `text` unless it is one JSON value that every reader accepts: at most `most` bytes and
/// 64 levels, no lone surrogate, and no number that exceeds a 64-bit float.
pub(in crate::host) fn bounded_json(what: &str, text: &str, most: usize) -> Result<(), tidemill_core::Failure> {
    if text.len() > most {
        let message = format!("{what} has {} bytes; the maximum is {most}", text.len());
        return Err(Code::BadArgument.failure(message));
    }
    json::check(text.as_bytes(), most).map_err(|why| Code::BadArgument.failure(format!("{what} is not JSON: {why}")))
}
