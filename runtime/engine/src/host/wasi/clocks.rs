//! `wasi:clocks`: both clocks are the run's own, so that a guest cannot measure what replay would not repeat. A timer is nothing
//! but the time at which it is over.

use std::collections::HashMap;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Duration, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::guest::Guest;
use crate::run_log::RunClock;

/// The clocks count milliseconds; this is one in nanoseconds.
const MILLI: u64 = 1_000_000;

/// The pollables that are timers, by their number in the table, with the time of the monotonic clock at which they are over.
/// Numbers are used again, so whoever drops a pollable takes it out here.
pub(crate) type Timers = HashMap<u32, Instant>;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<Guest, Clocks>(linker, clocks)?;
    monotonic_clock::add_to_linker::<Guest, Clocks>(linker, clocks)
}

/// The time of the monotonic clock.
pub(super) fn monotonic(clock: &RunClock) -> Instant {
    clock.now().as_millis().saturating_mul(MILLI)
}

struct Clocks;

struct ClocksView<'a> {
    clock: &'a RunClock,
    table: &'a mut ResourceTable,
    timers: &'a mut Timers,
}

impl HasData for Clocks {
    type Data<'a> = ClocksView<'a>;
}

fn clocks(guest: &mut Guest) -> ClocksView<'_> {
    guest.fuel.owed.call();
    ClocksView { clock: &guest.log.clock, table: &mut guest.table, timers: &mut guest.timers }
}

/// Stands in the table for a timer. Whether it is over is asked of [`Timers`], never of this.
struct Timer;

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {}
}

impl wall_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let millis = self.clock.now().as_millis();
        let nanoseconds = u32::try_from(millis % 1000 * MILLI).unwrap_or_default();
        Ok(Datetime { seconds: millis / 1000, nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(monotonic(self.clock))
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(MILLI)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer)?;
        let pollable = subscribe(self.table, timer)?;
        self.timers.insert(pollable.rep(), when);
        Ok(pollable)
    }

    fn subscribe_duration(&mut self, span: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(monotonic(self.clock).saturating_add(span))
    }
}
