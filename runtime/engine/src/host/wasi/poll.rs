//! `wasi:io/poll`: readiness depends only on the run's time. Everything is ready except an
//! unexpired timer. If there are only unexpired timers, the guest sleeps until the first expires:
//! durably, or in memory inside a step.

use tidemill_core::Timestamp;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{self, Host, HostPollable};

use super::clocks::MILLI;
use crate::guest::GuestState;
use crate::host::durable::waits;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    poll::add_to_linker::<GuestState, HasPoll>(linker, |guest| {
        guest.fuel.owed.call();
        PollView(guest)
    })
}

struct HasPoll;

pub(super) struct PollView<'a>(pub &'a mut GuestState);

impl HasData for HasPoll {
    type Data<'a> = PollView<'a>;
}

impl PollView<'_> {
    /// Returns the expiry of a pollable, or `None` if it is ready at the last time that the run has
    /// seen.
    fn over(&self, pollable: &Resource<DynPollable>) -> wasmtime::Result<Option<Timestamp>> {
        self.0.table.get(pollable)?;
        let timer = self.0.timers.get(&pollable.rep());
        let over = timer.map(|nanos| Timestamp::from_millis(nanos.div_ceil(MILLI)));
        Ok(over.filter(|over| *over > self.0.log.clock.last_seen()))
    }
}

impl Host for PollView<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            return Err(wasmtime::Error::msg("`poll` was called with an empty list"));
        }
        loop {
            let (mut ready, mut first) = (Vec::new(), None::<Timestamp>);
            for (index, pollable) in (0u32..).zip(&pollables) {
                match self.over(pollable)? {
                    None => ready.push(index),
                    Some(over) => first = Some(first.map_or(over, |first| first.min(over))),
                }
            }
            match first {
                Some(first) if ready.is_empty() => waits::sleep_for_wasi(self.0, first).await?,
                _ => return Ok(ready),
            }
        }
    }
}

impl HostPollable for PollView<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        match self.over(&pollable)? {
            Some(over) => waits::sleep_for_wasi(self.0, over).await,
            None => Ok(()),
        }
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        if self.over(&pollable)?.is_none() {
            return Ok(true);
        }
        // A guest that polls in a loop sees the time advance.
        crate::host::clock::now(self.0)?;
        Ok(self.over(&pollable)?.is_none())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.0.timers.remove(&pollable.rep());
        HostPollable::drop(&mut self.0.table, pollable)
    }
}
