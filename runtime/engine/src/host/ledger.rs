//! `tidemill:guest/ledger`: `post` checks an entry by the domain's rules and leaves its posting for the run's commit; `revenue` reads what is
//! committed. `reserve`, `settle` and `void` hold amounts over commits and need the journal: refused with `host/not-available`.

use std::sync::Arc;

use tidemill_core::money::EntryDraft;
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::{LedgerEntry, LedgerLeg, NewPosting};

use super::call::{Answer, Contract, Interface, Pending, answer};
use crate::bindings::wit::ledger::{Entry, Posting};
use crate::bindings::wit::types::Money;
use crate::guest::{Guest, not_available, read};

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut ledger = Interface::new(contract, "ledger")?;
    ledger.wait("post", |guest, (entry,): (Entry,)| Box::pin(post(guest, entry)))?;
    ledger.call("reserve", |guest, _: (Entry,)| refuse(guest, "ledger.reserve"))?;
    ledger.call("settle", |guest, _: (String, Option<Money>)| refuse(guest, "ledger.settle"))?;
    ledger.call("void", |guest, _: (String,)| refuse(guest, "ledger.void"))?;
    ledger.wait("revenue", revenue)
}

async fn post(guest: &mut Guest, entry: Entry) -> wasmtime::Result<Answer<Posting>> {
    if let Err(failure) = allowed(guest, "ledger.post") {
        return answer(Err(failure));
    }
    let occurred_at = Timestamp::from_millis(entry.occurred_at);
    let draft = EntryDraft {
        external_id: &entry.external_id,
        kind: &entry.kind,
        minor_units: entry.amount.minor_units,
        currency: &entry.amount.currency,
        occurred_at,
        customer: entry.customer.as_deref(),
        description: &entry.description,
        metadata: &entry.metadata,
    };
    let checked = match draft.check(&guest.outside.currencies) {
        Ok(checked) => checked,
        Err(bad) => return answer(Err(bad.code().failure(bad.to_string()))),
    };
    if let Some(own) = guest.stretch.own_posting(&entry.external_id) {
        let known = (own.entry.id.clone(), own.entry.fingerprint);
        return answer(duplicate(known, checked.fingerprint, &entry.external_id));
    }
    if let Err(much) = guest.stretch.has_room() {
        return answer(Err(much.into()));
    }
    let store = Arc::clone(&guest.outside.store);
    let run = Arc::clone(&guest.run);
    let seen = read(|| store.external_id(&run.deployment, &entry.external_id)).await?;
    if let Err(changed) = guest.stretch.note_external_id(&entry.external_id, &seen) {
        return Err(guest.void(changed).into());
    }
    if let Some(id) = seen.posting {
        return answer(duplicate((id, seen.fingerprint), checked.fingerprint, &entry.external_id));
    }
    let id = format!("{}-{}-{:05}", run.id, run.generation, guest.stretch.postings());
    let legs = checked.legs.iter();
    guest.stretch.post(NewPosting {
        entry: LedgerEntry {
            id: id.clone(),
            stream: run.deployment.clone(),
            run: run.id,
            external_id: entry.external_id,
            kind: checked.kind.as_str().to_owned(),
            minor_units: checked.amount.minor_units,
            currency: checked.amount.currency.code().to_owned(),
            net_revenue: checked.net_revenue,
            occurred_at,
            posted_at: guest.log.clock.now(),
            customer: entry.customer,
            description: entry.description,
            metadata: entry.metadata,
            legs: legs
                .map(|leg| LedgerLeg { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units })
                .collect(),
            fingerprint: checked.fingerprint,
        },
    });
    answer(Ok(Posting { id, duplicate: false }))
}

fn duplicate(known: (String, [u8; 16]), fingerprint: [u8; 16], external_id: &str) -> Result<Posting, Failure> {
    if known.1 == fingerprint {
        return Ok(Posting { id: known.0, duplicate: true });
    }
    let shown: String = external_id.chars().take(100).collect();
    Err(Code::ExternalIdConflict
        .failure(format!("external id `{shown}` was posted before as {}, with other content", known.0)))
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
