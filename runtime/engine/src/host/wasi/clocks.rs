//! `wasi:clocks`: both clocks are the run's own, so that a guest cannot measure anything that
//! replay does not repeat. A timer is only the time at which it expires.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Duration, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::guest::GuestState;
use crate::host::clock::now;

/// One millisecond, the resolution of the clocks, in nanoseconds.
pub(super) const MILLI: u64 = 1_000_000;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<GuestState, HasClocks>(linker, clocks)?;
    monotonic_clock::add_to_linker::<GuestState, HasClocks>(linker, clocks)
}

/// Returns the time of the monotonic clock.
pub(super) fn monotonic(guest: &mut GuestState) -> wasmtime::Result<Instant> {
    Ok(now(guest)?.as_millis().saturating_mul(MILLI))
}

/// Returns the time of day.
pub(super) fn wall(guest: &mut GuestState) -> wasmtime::Result<Datetime> {
    let millis = now(guest)?.as_millis();
    let nanoseconds = u32::try_from(millis % 1000 * MILLI).unwrap_or_default();
    Ok(Datetime { seconds: millis / 1000, nanoseconds })
}

struct HasClocks;

pub(super) struct ClocksView<'a>(pub &'a mut GuestState);

impl HasData for HasClocks {
    type Data<'a> = ClocksView<'a>;
}

fn clocks(guest: &mut GuestState) -> ClocksView<'_> {
    guest.fuel.owed.call();
    ClocksView(guest)
}

/// Placeholder of a timer in the resource table. Only [`GuestState::timers`] knows whether it has
/// expired.
struct Timer;

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {}
}

impl wall_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        wall(self.0)
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        monotonic(self.0)
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(MILLI)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.0.table.push(Timer)?;
        let pollable = subscribe(&mut self.0.table, timer)?;
        self.0.timers.insert(pollable.rep(), when);
        Ok(pollable)
    }

    fn subscribe_duration(&mut self, span: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let now = monotonic(self.0)?;
        self.subscribe_instant(now.saturating_add(span))
    }
}
