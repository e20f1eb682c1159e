//! `tidemill:guest/clock`: the run's own time, which never runs backwards. Sleeping is a commit point and needs the
//! journal: without one it is refused, however short.

use wasmtime::component::Linker;

use super::call::{Answer, Interface, answer};
use crate::guest::Guest;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut clock = Interface::new(linker, "clock")?;
    clock.call("now", |guest, ()| Ok(guest.log.clock.now().as_millis()))?;
    clock.call("sleep", |guest, (_,): (u64,)| refuse(guest, "clock.sleep"))?;
    clock.call("sleep-until", |guest, (_,): (u64,)| refuse(guest, "clock.sleep-until"))
}

fn refuse(guest: &mut Guest, call: &str) -> wasmtime::Result<Answer<()>> {
    answer(guest.may_fail().and_then(|()| Err(guest.needs_journal(call))))
}
