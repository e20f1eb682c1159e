//! `tidemill:guest/clock`: the run's own time, which never runs backwards. Sleeping is a commit point and needs the
//! journal: without one it is refused, however short.

use super::call::{Answer, Contract, Interface, answer};
use crate::guest::Guest;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut clock = Interface::new(contract, "clock")?;
    clock.call("now", |guest, ()| Ok(guest.log.clock.now().as_millis()))?;
    clock.call("sleep", |guest, (_,): (u64,)| refuse(guest, "clock.sleep"))?;
    clock.call("sleep-until", |guest, (_,): (u64,)| refuse(guest, "clock.sleep-until"))
}

fn refuse(guest: &mut Guest, call: &str) -> wasmtime::Result<Answer<()>> {
    answer(guest.may_fail().and_then(|()| Err(guest.needs_journal(call))))
}
