//! `tidemill:guest/ledger`: `post` validates an entry by the domain's rules and buffers its posting
//! until the run's commit; `revenue` reads committed postings. `reserve`, `settle` and `void` are
//! not in this release and fail with `host/not-available`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::journal::Kind;
use tidemill_core::money::{EntryCall, EntryDraft, LedgerStream, Posting as Checked};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::LedgerLeg;

use super::abi::{Contract, HostFuture, HostResult, Interface, answer};
use crate::component::bindings::wit::ledger::{Entry, Posting};
use crate::component::bindings::wit::types::Money;
use crate::guest::{GuestState, read};
use crate::replay::state::hash;
use crate::transaction::posting::BufferedPosting;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut ledger = Interface::new(contract, "ledger")?;
    ledger.wait("post", |guest, (entry,): (Entry,)| Box::pin(post(guest, entry)))?;
    ledger.call("reserve", |guest, _: (Entry,)| refuse(guest, "ledger.reserve"))?;
    ledger.call("settle", |guest, _: (String, Option<Money>)| refuse(guest, "ledger.settle"))?;
    ledger.call("void", |guest, _: (String,)| refuse(guest, "ledger.void"))?;
    ledger.wait("revenue", revenue)
}

async fn post(guest: &mut GuestState, entry: Entry) -> wasmtime::Result<HostResult<Posting>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("ledger.post")) {
        return answer(Err(failure));
    }
    let draft = EntryDraft {
        call: EntryCall::Post,
        external_id: &entry.external_id,
        kind: &entry.kind,
        minor_units: entry.amount.minor_units,
        currency: &entry.amount.currency,
        occurred_at: Timestamp::from_millis(entry.occurred_at),
        customer: entry.customer.as_deref(),
        description: &entry.description,
        metadata: &entry.metadata,
    };
    let checked = match draft.check(&guest.services.currencies) {
        Ok(checked) => checked,
        Err(bad) => return answer(Err(bad.code().failure(bad.to_string()))),
    };
    let request = hash(&[entry.external_id.as_bytes(), &checked.fingerprint]);
    if let Some(posted) = guest.replay::<Result<RecordedPosting, Failure>>(Kind::Post, request)? {
        guest.history.frame().posts += u32::from(posted.as_ref().is_ok_and(|posted| !posted.duplicate));
        return answer(posted.map(RecordedPosting::into_posting));
    }
    let shown = entry.external_id.clone();
    let posted = match allowed(guest) {
        Ok(()) => post_now(guest, entry, checked).await?,
        Err(failure) => Err(failure),
    };
    guest.record(Kind::Post, request, &posted, Some(shown.as_bytes()))?;
    answer(posted.map(RecordedPosting::into_posting))
}

async fn post_now(
    guest: &mut GuestState,
    entry: Entry,
    checked: Checked,
) -> wasmtime::Result<Result<RecordedPosting, Failure>> {
    if let Some(own) = guest.transaction.own_posting(&entry.external_id) {
        let same = own.to_entry().content == checked.content;
        return Ok(duplicate(own.id.clone(), same, &entry.external_id));
    }
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let store = Arc::clone(&guest.services.store);
    let run = Arc::clone(&guest.run);
    let stream = LedgerStream::of(&run.deployment);
    let seen = read(|| store.external_id(&stream, &entry.external_id)).await?;
    if let Err(changed) = guest.transaction.note_external_id(&entry.external_id, &seen) {
        return Err(guest.void(changed).into());
    }
    if let Some(id) = seen.posting {
        return Ok(duplicate(id, seen.content == checked.content, &entry.external_id));
    }
    let id = posting_id(guest);
    let posted_at = guest.log.clock.now();
    let legs = checked.legs.iter();
    guest.transaction.post(BufferedPosting {
        id: id.clone(),
        stream: run.deployment.clone(),
        run: run.id,
        external_id: entry.external_id,
        kind: checked.kind.as_str().to_owned(),
        minor_units: checked.amount.minor_units,
        currency: checked.amount.currency.code().to_owned(),
        net_revenue: checked.net_revenue,
        occurred_at: Timestamp::from_millis(entry.occurred_at),
        posted_at,
        customer: entry.customer,
        description: entry.description,
        metadata: entry.metadata,
        legs: legs
            .map(|leg| LedgerLeg { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units })
            .collect(),
        fingerprint: checked.fingerprint,
    });
    Ok(Ok(RecordedPosting { id, duplicate: false }))
}

/// Returns an id derived from the run and the position in it: the same in every attempt and replay,
/// and unique.
fn posting_id(guest: &mut GuestState) -> String {
    let (run, generation) = (guest.run.id, guest.run.generation);
    let outside = guest.history.depth() == 0;
    let frame = guest.history.frame();
    let posts = frame.posts;
    frame.posts += 1;
    if outside {
        return format!("{run}-{generation}-{posts:05}");
    }
    let path = u64::from_le_bytes(frame.path.first_chunk().copied().unwrap_or_default());
    format!("{run}-{generation}-{path:016x}-{posts:05}")
}

/// A posting, as it is recorded.
#[derive(Serialize, Deserialize)]
struct RecordedPosting {
    id: String,
    duplicate: bool,
}

impl RecordedPosting {
    fn into_posting(self) -> Posting {
        Posting { id: self.id, duplicate: self.duplicate }
    }
}

fn duplicate(id: String, same: bool, external_id: &str) -> Result<RecordedPosting, Failure> {
    if same {
        return Ok(RecordedPosting { id, duplicate: true });
    }
    let shown: String = external_id.chars().take(100).collect();
    Err(Code::ExternalIdConflict
        .failure(format!("external id `{shown}` was posted before as {id} with different content")))
}

fn refuse(guest: &mut GuestState, call: &str) -> wasmtime::Result<HostResult<Posting>> {
    let allowed = guest.check_cancelled().and_then(|()| guest.not_in_health_check(call));
    answer(allowed.and_then(|()| Err(Code::NotAvailable.failure(format!("`{call}` is not in this release")))))
}

fn revenue(guest: &mut GuestState, (start, end): (u64, u64)) -> HostFuture<'_, HostResult<Vec<Money>>> {
    Box::pin(async move {
        if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("ledger.revenue")) {
            return answer(Err(failure));
        }
        let request = hash(&[&start.to_le_bytes(), &end.to_le_bytes()]);
        let money = |earned: Vec<(i64, String)>| {
            earned.into_iter().map(|(minor_units, currency)| Money { minor_units, currency }).collect()
        };
        if let Some(earned) = guest.replay::<Result<Vec<(i64, String)>, Failure>>(Kind::Revenue, request)? {
            return answer(earned.map(money));
        }
        let earned = match allowed(guest) {
            Ok(()) => revenue_now(guest, Timestamp::from_millis(start), Timestamp::from_millis(end)).await?,
            Err(failure) => Err(failure),
        };
        guest.record(Kind::Revenue, request, &earned, None)?;
        answer(earned.map(money))
    })
}

async fn revenue_now(
    guest: &mut GuestState,
    start: Timestamp,
    end: Timestamp,
) -> wasmtime::Result<Result<Vec<(i64, String)>, Failure>> {
    let store = Arc::clone(&guest.services.store);
    let run = Arc::clone(&guest.run);
    let stream = LedgerStream::of(&run.deployment);
    let totals = read(|| store.revenue(&stream, start, end)).await?;
    let earned = totals.into_iter().map(|total| {
        i64::try_from(total.net_revenue)
            .map(|minor_units| (minor_units, total.currency))
            .map_err(|_| Code::AmountOverflow.failure("the revenue of that period exceeds 64 bits"))
    });
    Ok(earned.collect())
}

fn allowed(guest: &GuestState) -> Result<(), Failure> {
    if guest.grants().ledger {
        return Ok(());
    }
    Err(Code::NotGranted.failure("the deployment may not use the ledger; add to `[grants]`: ledger = true"))
}
