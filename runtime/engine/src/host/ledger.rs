//! `tidemill:guest/ledger`.

use std::sync::Arc;

use tidemill_core::{Code, Failure, Timestamp};
use wasmtime::component::Linker;

use super::call::{Answer, Interface, Pending, answer};
use crate::bindings::wit::ledger::{Entry, Posting};
use crate::bindings::wit::types::Money;
use crate::guest::{Guest, not_available, read};

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut ledger = Interface::new(linker, "ledger")?;
    ledger.call("post", |guest, _: (Entry,)| refuse(guest, "ledger.post"))?;
    ledger.call("reserve", |guest, _: (Entry,)| refuse(guest, "ledger.reserve"))?;
    ledger.call("settle", |guest, _: (String, Option<Money>)| refuse(guest, "ledger.settle"))?;
    ledger.call("void", |guest, _: (String,)| refuse(guest, "ledger.void"))?;
    ledger.wait("revenue", revenue)
}

fn refuse(guest: &mut Guest, call: &str) -> wasmtime::Result<Answer<Posting>> {
    answer(allowed(guest, call).and_then(|()| Err(not_available(call))))
}

fn revenue(guest: &mut Guest, (start, end): (u64, u64)) -> Pending<'_, Answer<Vec<Money>>> {
    Box::pin(async move {
        if let Err(failure) = allowed(guest, "ledger.revenue") {
            return answer(Err(failure));
        }
        let store = Arc::clone(&guest.outside.store);
        let run = Arc::clone(&guest.run);
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let totals = read(|| store.revenue(&run.deployment, start, end)).await?;
        let money = totals.into_iter().map(|total| {
            i64::try_from(total.net_revenue)
                .map(|minor_units| Money { minor_units, currency: total.currency })
                .map_err(|_| Code::AmountOverflow.failure("the revenue of that time does not fit 64 bits"))
        });
        answer(money.collect())
    })
}

fn allowed(guest: &mut Guest, call: &str) -> Result<(), Failure> {
    guest.may_fail()?;
    guest.not_in_health_check(call)?;
    if guest.run.grants.ledger {
        return Ok(());
    }
    Err(Code::NotGranted.failure("the deployment may not use the ledger; add to `[grants]`: ledger = true"))
}
