//! `tidemill:guest/clock`: the run's own time, which never decreases and is repeated by replay. A
//! sleep is a commit point; a sleeping run uses no memory.

use tidemill_core::Timestamp;
use tidemill_core::journal::Kind;

use super::abi::{Contract, Interface};
use super::durable::waits;
use crate::guest::GuestState;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut clock = Interface::new(contract, "clock")?;
    clock.call("now", |guest, ()| now(guest).map(Timestamp::as_millis))?;
    clock.wait("sleep", |guest, (span,): (u64,)| Box::pin(waits::sleep(guest, span)))?;
    clock.wait("sleep-until", |guest, (at,): (u64,)| Box::pin(waits::sleep_until(guest, Timestamp::from_millis(at))))
}

/// Returns the time, for WASI's clocks too.
pub(in crate::host) fn now(guest: &mut GuestState) -> wasmtime::Result<Timestamp> {
    if let Some(now) = guest.replay::<u64>(Kind::Now, [0; 16])? {
        let now = Timestamp::from_millis(now);
        guest.log.clock.not_before(now);
        return Ok(now);
    }
    let now = guest.log.clock.now();
    guest.record(Kind::Now, [0; 16], &now.as_millis(), None)?;
    Ok(now)
}
