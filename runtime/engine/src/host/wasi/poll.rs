//! `wasi:io/poll`: what is ready is a matter of the run's time alone. Everything but a timer that is not over is ready. Where there are only such
//! timers, the guest would sleep, which needs the journal: without one it is stopped with `host/not-available`.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{self, Host, HostPollable};

use super::clocks::{Timers, monotonic};
use crate::end::End;
use crate::fuel::Owed;
use crate::guest::{Guest, not_available};
use crate::run_log::RunClock;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    poll::add_to_linker::<Guest, Polls>(linker, |guest| {
        guest.fuel.owed.call();
        PollView { clock: &guest.log.clock, table: &mut guest.table, timers: &mut guest.timers, owed: &guest.fuel.owed }
    })
}

struct Polls;

struct PollView<'a> {
    clock: &'a RunClock,
    table: &'a mut ResourceTable,
    timers: &'a mut Timers,
    owed: &'a Owed,
}

impl HasData for Polls {
    type Data<'a> = PollView<'a>;
}

impl PollView<'_> {
    fn is_ready(&self, pollable: &Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.table.get(pollable)?;
        Ok(self.timers.get(&pollable.rep()).is_none_or(|over| *over <= monotonic(self.clock)))
    }
}

impl Host for PollView<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            return Err(wasmtime::Error::msg("`poll` was called with an empty list"));
        }
        self.owed.bytes(pollables.len() * 4);
        let mut ready = Vec::new();
        for (index, pollable) in (0u32..).zip(&pollables) {
            if self.is_ready(pollable)? {
                ready.push(index);
            }
        }
        if ready.is_empty() { Err(sleeping()) } else { Ok(ready) }
    }
}

impl HostPollable for PollView<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        if self.is_ready(&pollable)? { Ok(()) } else { Err(sleeping()) }
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.is_ready(&pollable)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.timers.remove(&pollable.rep());
        HostPollable::drop(self.table, pollable)
    }
}

fn sleeping() -> wasmtime::Error {
    End::from(not_available("sleep")).into()
}
