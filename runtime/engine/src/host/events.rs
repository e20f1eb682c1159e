//! `tidemill:guest/events`: delivery needs the journal, which this release does not have; publishing is refused with `host/not-available`.

use super::call::{Answer, Contract, Interface, answer};
use crate::guest::Guest;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "events")?.call("publish", publish)
}

fn publish(guest: &mut Guest, _: (String, String)) -> wasmtime::Result<Answer<()>> {
    answer(guest.may_fail().and_then(|()| Err(guest.needs_journal("events.publish"))))
}
