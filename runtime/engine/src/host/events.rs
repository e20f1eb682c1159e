//! `tidemill:guest/events`: events are not in this release; publishing is refused with `host/not-available`.

use tidemill_core::Code;

use super::call::{Answer, Contract, Interface, answer};
use crate::guest::Guest;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "events")?.call("publish", publish)
}

fn publish(guest: &mut Guest, _: (String, String)) -> wasmtime::Result<Answer<()>> {
    let allowed = guest.may_fail().and_then(|()| guest.not_in_health_check("events.publish"));
    answer(allowed.and_then(|()| Err(Code::NotAvailable.failure("`events.publish` is not in this release"))))
}
