//! `tidemill:guest/durable`: progress and status work; all else is about a journal, which this release does not have, and
//! is refused with `host/not-available`. A note holds 1 KiB, a status 64 KiB.

use tidemill_core::Code;
use tidemill_core::run::Progress;

use super::call::{Answer, Contract, Interface, answer};
use crate::bindings::wit::durable::{Begun, First, Outcome, StartOptions, Target, Verdict, WaitFor};
use crate::bindings::wit::types::{Failure, RetryPolicy};
use crate::end::End;
use crate::guest::Guest;

/// The longest note, in bytes; what is longer is cut.
const NOTE_BYTES: usize = 1024;
/// The longest status, in bytes.
const STATUS_BYTES: usize = 64 * 1024;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut durable = Interface::new(contract, "durable")?;
    durable
        .call("begin-step", |guest, _: (String, Option<RetryPolicy>)| refuse::<Begun>(guest, "durable.begin-step"))?;
    durable
        .call("end-step", |guest, _: (u32, Result<String, Failure>)| refuse::<Verdict>(guest, "durable.end-step"))?;
    durable.call("start", |guest, _: (String, String, StartOptions)| refuse::<String>(guest, "durable.start"))?;
    durable.call("signal", |guest, _: (Target, String, String)| refuse::<()>(guest, "durable.signal"))?;
    durable.call("cancel", |guest, _: (Target,)| refuse::<()>(guest, "durable.cancel"))?;
    durable.call("await-first", |guest, _: (Vec<WaitFor>, Option<u64>)| {
        refuse::<Option<First>>(guest, "durable.await-first")
    })?;
    durable.call("await-all", |guest, _: (Vec<String>, Option<u64>)| {
        refuse::<Option<Vec<Outcome>>>(guest, "durable.await-all")
    })?;
    durable.tell("set-progress", set_progress)?;
    durable.tell("set-status", set_status)?;
    durable.call("continue-as-new", |guest, _: (String,)| {
        Ok(Failure::from(guest.needs_journal("durable.continue-as-new")))
    })
}

fn refuse<T>(guest: &mut Guest, call: &str) -> wasmtime::Result<Answer<T>> {
    answer(guest.may_fail().and_then(|()| Err(guest.needs_journal(call))))
}

fn set_progress(guest: &mut Guest, (done, total, mut note): (u64, Option<u64>, String)) -> wasmtime::Result<()> {
    guest.not_in_health_check("durable.set-progress").map_err(End::from)?;
    if note.len() > NOTE_BYTES {
        let end = (0..=NOTE_BYTES).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
        note.truncate(end);
    }
    guest.sink.progress(Progress { done, total, note });
    Ok(())
}

fn set_status(guest: &mut Guest, (status,): (String,)) -> wasmtime::Result<()> {
    guest.not_in_health_check("durable.set-status").map_err(End::from)?;
    if status.len() > STATUS_BYTES {
        let message = format!("a status holds at most {STATUS_BYTES} bytes; this one holds {}", status.len());
        return Err(End::new(Code::BadArgument, message).into());
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&status) {
        return Err(End::new(Code::BadArgument, format!("the status is not JSON: {error}")).into());
    }
    guest.sink.status(status);
    Ok(())
}
