//! `post` and `reserve`: a new entry under an external id of the stream. `draw` writes its entry
//! here, too.

use std::sync::Arc;

use tidemill_core::journal::Kind;
use tidemill_core::money::{ContentHash, EntryCall, EntryDraft, Posting as CheckedEntry, net_revenue};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::NewEntry;

use super::{RecordedPosting, allowed, count_replayed, evidence, floor, posting_id, stored, stream_of};
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
    let checked = match check(guest, call, &entry) {
        Ok(checked) => checked,
        Err(bad) => return answer(Err(bad)),
    };
    let request = hash(&[entry.external_id.as_bytes(), &checked.fingerprint]);
    if let Some(posted) = guest.replay::<Result<RecordedPosting, Failure>>(kind, request)? {
        count_replayed(guest, posted.as_ref().ok());
        return answer(posted.map(RecordedPosting::into_posting));
    }
    let shown = entry.external_id.clone();
    let posted = match allowed(guest) {
        Ok(()) => write_now(guest, call, false, entry, checked).await?.map(|written| written.posting),
        Err(failure) => Err(failure),
    };
    // Only a partial draw may write nothing.
    let missing = || Code::Internal.failure("the entry was not written");
    let posted = posted.and_then(|posting| posting.ok_or_else(missing));
    if call == EntryCall::Reserve && posted.as_ref().is_ok_and(|posted| !posted.duplicate) {
        guest.transaction.note_claim();
    }
    guest.record(kind, request, &posted, Some(shown.as_bytes()))?;
    answer(posted.map(RecordedPosting::into_posting))
}

/// Checks an entry by the rules of the ledger.
pub(super) fn check(guest: &GuestState, call: EntryCall, entry: &Entry) -> Result<CheckedEntry, Failure> {
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
    draft.check(&guest.services.currencies).map_err(|bad| bad.code().failure(bad.to_string()))
}

/// An entry as it was written, or was known before.
pub(super) struct WrittenEntry {
    /// The posting; `None` if a partial draw could take nothing.
    pub(super) posting: Option<RecordedPosting>,
    /// The amount, in minor units.
    pub(super) minor_units: i64,
}

/// Writes an entry into the transaction, unless its external id is known. `partial` is whether a
/// draw may take less than its amount.
pub(super) async fn write_now(
    guest: &mut GuestState,
    call: EntryCall,
    partial: bool,
    entry: Entry,
    checked: CheckedEntry,
) -> wasmtime::Result<Result<WrittenEntry, Failure>> {
    if let Some(own) = guest.transaction.own_entry(&entry.external_id) {
        let known = (own.id.clone(), own.content, own.minor_units);
        let known = duplicate(known, checked.content, &entry.external_id);
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
        let known = duplicate((id, seen.content, seen.minor_units), checked.content, &entry.external_id);
        if known.is_err() {
            // Whatever becomes of the run, the provider gave one id to two contents.
            let now = guest.log.clock.now();
            read(|| store.note_id_conflict(&stream, &entry.external_id, now)).await?;
        }
        return Ok(known);
    }
    let minor_units = match floor::take(guest, call, partial, &entry, &checked).await? {
        Ok(minor_units) => minor_units,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if minor_units == 0 {
        return Ok(Ok(WrittenEntry { posting: None, minor_units }));
    }
    let Some(legs) = checked.kind.legs(minor_units) else {
        return Ok(Err(Code::AmountOverflow.failure("the amount is out of range")));
    };
    let id = posting_id(guest);
    let reserves = call == EntryCall::Reserve;
    let net = if reserves { 0 } else { net_revenue(legs) };
    let legs = stored(legs);
    let (legs, pending) = if reserves { (Vec::new(), legs) } else { (legs, Vec::new()) };
    let default_expiry = guest.run.ledger.reservations_expire_millis;
    let customer_floor = floor::of_post(guest, call, &entry, &checked);
    let expires_at = checked.links.expires_at.or_else(|| Some(guest.log.clock.now().plus_millis(default_expiry?)));
    let new = NewEntry {
        id: id.clone(),
        stream,
        run: Some(guest.run.id),
        external_id: entry.external_id,
        call,
        kind: checked.kind.as_str().to_owned(),
        minor_units,
        currency: checked.amount.currency.code().to_owned(),
        exponent: Some(checked.amount.currency.exponent()),
        net_revenue: net,
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
        late_usage_millis: guest.run.ledger.late_usage_millis,
        customer_floor,
        content: checked.content,
    };
    guest.transaction.add_entry(new);
    Ok(Ok(WrittenEntry { posting: Some(RecordedPosting { id, duplicate: false }), minor_units }))
}

fn duplicate(
    (id, known, minor_units): (String, ContentHash, i64),
    content: ContentHash,
    external_id: &str,
) -> Result<WrittenEntry, Failure> {
    if known == content {
        return Ok(WrittenEntry { posting: Some(RecordedPosting { id, duplicate: true }), minor_units });
    }
    let shown: String = external_id.chars().take(100).collect();
    Err(Code::ExternalIdConflict
        .failure(format!("external id `{shown}` was posted before as {id} with different content")))
}
