//! `post` and `reserve`: a new entry under an external id of the stream.

use std::sync::Arc;

use tidemill_core::journal::Kind;
use tidemill_core::money::{ContentHash, EntryCall, EntryDraft, Posting as CheckedEntry};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::NewEntry;

use super::{RecordedPosting, allowed, count_replayed, evidence, posting_id, stored, stream_of};
use crate::component::bindings::wit::ledger::{Entry, Posting};
use crate::guest::{GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;

/// Posts or reserves.
pub(super) async fn write(
    guest: &mut GuestState,
    call: EntryCall,
    entry: Entry,
) -> wasmtime::Result<HostResult<Posting>> {
    let (kind, name) = match call {
        EntryCall::Reserve => (Kind::Reserve, "ledger.reserve"),
        _ => (Kind::Post, "ledger.post"),
    };
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check(name)) {
        return answer(Err(failure));
    }
    let draft = EntryDraft {
        call,
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
    if let Some(posted) = guest.replay::<Result<RecordedPosting, Failure>>(kind, request)? {
        count_replayed(guest, &posted);
        return answer(posted.map(RecordedPosting::into_posting));
    }
    let shown = entry.external_id.clone();
    let posted = match allowed(guest) {
        Ok(()) => write_now(guest, call, entry, checked).await?,
        Err(failure) => Err(failure),
    };
    if call == EntryCall::Reserve && posted.as_ref().is_ok_and(|posted| !posted.duplicate) {
        guest.transaction.note_claim();
    }
    guest.record(kind, request, &posted, Some(shown.as_bytes()))?;
    answer(posted.map(RecordedPosting::into_posting))
}

async fn write_now(
    guest: &mut GuestState,
    call: EntryCall,
    entry: Entry,
    checked: CheckedEntry,
) -> wasmtime::Result<Result<RecordedPosting, Failure>> {
    if let Some(own) = guest.transaction.own_entry(&entry.external_id) {
        let known = duplicate((own.id.clone(), own.content), checked.content, &entry.external_id);
        if known.is_err() {
            guest.transaction.note_id_conflict(&entry.external_id);
        }
        return Ok(known);
    }
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let stream = stream_of(guest);
    let store = Arc::clone(&guest.services.store);
    let seen = read(|| store.external_id(&stream, &entry.external_id)).await?;
    if let Err(changed) = guest.transaction.note_external_id(&entry.external_id, &seen) {
        return Err(guest.void(changed).into());
    }
    if let Some(id) = seen.posting {
        let known = duplicate((id, seen.content), checked.content, &entry.external_id);
        if known.is_err() {
            // Whatever becomes of the run, the provider gave one id to two contents.
            let now = guest.log.clock.now();
            read(|| store.note_id_conflict(&stream, &entry.external_id, now)).await?;
        }
        return Ok(known);
    }
    let id = posting_id(guest);
    let reserves = call == EntryCall::Reserve;
    let legs = stored(checked.legs);
    let (legs, pending) = if reserves { (Vec::new(), legs) } else { (legs, Vec::new()) };
    let default_expiry = guest.run.ledger.reservations_expire_millis;
    let expires_at = checked.links.expires_at.or_else(|| Some(guest.log.clock.now().plus_millis(default_expiry?)));
    let new = NewEntry {
        id: id.clone(),
        stream,
        run: Some(guest.run.id),
        external_id: entry.external_id,
        call,
        kind: checked.kind.as_str().to_owned(),
        minor_units: checked.amount.minor_units,
        currency: checked.amount.currency.code().to_owned(),
        exponent: Some(checked.amount.currency.exponent()),
        net_revenue: checked.net_revenue,
        occurred_at: Timestamp::from_millis(entry.occurred_at),
        customer: entry.customer,
        description: entry.description,
        metadata: entry.metadata,
        of: checked.links.of,
        legs,
        pending,
        reservation: None,
        expires_at: if reserves { expires_at } else { None },
        evidence: evidence(guest),
        paper: guest.run.ledger.paper,
        late_usage_millis: 0,
        content: checked.content,
    };
    guest.transaction.add_entry(new);
    Ok(Ok(RecordedPosting { id, duplicate: false }))
}

fn duplicate(
    known: (String, ContentHash),
    content: ContentHash,
    external_id: &str,
) -> Result<RecordedPosting, Failure> {
    if known.1 == content {
        return Ok(RecordedPosting { id: known.0, duplicate: true });
    }
    let shown: String = external_id.chars().take(100).collect();
    Err(Code::ExternalIdConflict
        .failure(format!("external id `{shown}` was posted before as {} with different content", known.0)))
}
