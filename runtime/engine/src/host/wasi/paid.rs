//! The functions of WASI that are journaled: they pay at once, with a hand on the store, so that what the guest has used is
//! exact where an entry of the journal says it. They stand over those of `clocks` and `poll`, whose work they call.

use tidemill_core::limits::{HOST_CALL_ELEMENT_BYTES, HOST_CALL_FUEL};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};

use super::clocks::{ClocksView, monotonic, wall};
use super::poll::PollView;
use crate::guest::GuestState;
use crate::guest::fuel::{charge, charge_result};

/// The versions that wasmtime-wasi has; any of 0.2 finds them.
const WALL: &str = "wasi:clocks/wall-clock@0.2.12";
const MONOTONIC: &str = "wasi:clocks/monotonic-clock@0.2.12";
const POLL: &str = "wasi:io/poll@0.2.12";

type At<'a> = StoreContextMut<'a, GuestState>;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance(WALL)?.func_wrap("now", |mut store: At<'_>, ()| paid(&mut store, wall))?;
    let mut clock = linker.instance(MONOTONIC)?;
    clock.func_wrap("now", |mut store: At<'_>, ()| paid(&mut store, monotonic))?;
    clock.func_wrap("subscribe-duration", |mut store: At<'_>, (span,): (u64,)| {
        charge(&mut store, HOST_CALL_FUEL, 0)?;
        let timer = ClocksView(store.data_mut()).subscribe_duration(span)?;
        charge_result(&mut store, 0)?;
        Ok((timer,))
    })?;
    let mut poll = linker.instance(POLL)?;
    poll.func_wrap_async("poll", |mut store: At<'_>, (list,): (Vec<Resource<DynPollable>>,)| {
        Box::new(async move {
            charge(&mut store, HOST_CALL_FUEL, list.len().saturating_mul(HOST_CALL_ELEMENT_BYTES))?;
            let ready = PollView(store.data_mut()).poll(list).await?;
            charge_result(&mut store, ready.len().saturating_mul(HOST_CALL_ELEMENT_BYTES))?;
            Ok((ready,))
        })
    })?;
    poll.func_wrap_async("[method]pollable.block", |mut store: At<'_>, (one,): (Resource<DynPollable>,)| {
        Box::new(async move {
            charge(&mut store, HOST_CALL_FUEL, 0)?;
            PollView(store.data_mut()).block(one).await?;
            charge_result(&mut store, 0)
        })
    })?;
    poll.func_wrap_async("[method]pollable.ready", |mut store: At<'_>, (one,): (Resource<DynPollable>,)| {
        Box::new(async move {
            charge(&mut store, HOST_CALL_FUEL, 0)?;
            let ready = PollView(store.data_mut()).ready(one).await?;
            charge_result(&mut store, 0)?;
            Ok((ready,))
        })
    })
}

fn paid<T>(store: &mut At<'_>, work: fn(&mut GuestState) -> wasmtime::Result<T>) -> wasmtime::Result<(T,)> {
    charge(store, HOST_CALL_FUEL, 0)?;
    let answer = work(store.data_mut())?;
    charge_result(store, 0)?;
    Ok((answer,))
}
