//! The journaled WASI functions. They pay at once, with access to the store, so that each journal
//! entry holds the exact fuel used. They shadow the functions of `clocks` and `poll`, and call
//! their work.

use tidemill_core::limits::{HOST_CALL_ELEMENT_BYTES, HOST_CALL_FUEL};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};

use super::clocks::{ClocksView, monotonic, wall};
use super::poll::PollView;
use crate::guest::GuestState;
use crate::guest::fuel::charge::{charge, charge_result};

/// The version in wasmtime-wasi; any 0.2 import resolves to it.
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
