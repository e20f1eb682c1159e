//! `settle` and `void`: the end of a reservation, which becomes an entry of its own.

use std::sync::Arc;

use tidemill_core::journal::Kind;
use tidemill_core::money::{
    EntryCall, EntryContent, EntryKind, Reservation, ReservationEvent, ReservationState, ReservationStep, net_revenue,
};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::{LedgerEntry, LedgerLeg, NewEntry};

use super::{RecordedPosting, allowed, count_replayed, evidence, posting_id, stored, stream_of};
use crate::component::bindings::wit::ledger::Posting;
use crate::component::bindings::wit::types::Money;
use crate::guest::{GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;

/// Maximum length of an id that is looked up, in bytes. No posting has a longer one.
const ID_BYTES: usize = 256;

/// Posts at most the reserved amount and returns the rest.
pub(super) async fn settle(
    guest: &mut GuestState,
    id: String,
    amount: Option<Money>,
) -> wasmtime::Result<HostResult<Posting>> {
    let given = amount.as_ref().map(|amount| (amount.minor_units, amount.currency.as_str()));
    let (minor_units, currency) = given.unwrap_or_default();
    let request = hash(&[id.as_bytes(), &[given.is_some().into()], &minor_units.to_le_bytes(), currency.as_bytes()]);
    end(guest, EndCall { kind: Kind::Settle, name: "ledger.settle", request }, &id, ReservationEvent::Settle(given))
        .await
}

/// Returns all of the reserved amount.
pub(super) async fn void(guest: &mut GuestState, id: String) -> wasmtime::Result<HostResult<Posting>> {
    let request = hash(&[id.as_bytes()]);
    end(guest, EndCall { kind: Kind::Void, name: "ledger.void", request }, &id, ReservationEvent::Void).await
}

/// The call that ends a reservation, as the journal knows it.
struct EndCall {
    kind: Kind,
    name: &'static str,
    request: tidemill_core::journal::Hash,
}

async fn end(
    guest: &mut GuestState,
    call: EndCall,
    id: &str,
    event: ReservationEvent<'_>,
) -> wasmtime::Result<HostResult<Posting>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check(call.name)) {
        return answer(Err(failure));
    }
    if let Some(ended) = guest.replay::<Result<RecordedPosting, Failure>>(call.kind, call.request)? {
        count_replayed(guest, ended.as_ref().ok());
        return answer(ended.map(RecordedPosting::into_posting));
    }
    let ended = match allowed(guest) {
        Ok(()) => end_now(guest, id, event).await?,
        Err(failure) => Err(failure),
    };
    guest.record(call.kind, call.request, &ended, Some(id.as_bytes()))?;
    answer(ended.map(RecordedPosting::into_posting))
}

async fn end_now(
    guest: &mut GuestState,
    id: &str,
    event: ReservationEvent<'_>,
) -> wasmtime::Result<Result<RecordedPosting, Failure>> {
    let Some(found) = find(guest, id).await? else {
        let shown: String = id.chars().take(100).collect();
        let message = format!("the stream has no reservation `{shown}`; pass the id that `reserve` returned");
        return Ok(Err(Code::ReservationNotFound.failure(message)));
    };
    let now = guest.log.clock.now();
    let state = match found.rule.next(event, now) {
        Ok(ReservationStep::End(state)) => state,
        Ok(ReservationStep::Duplicate) => return Ok(Ok(RecordedPosting { id: found.end, duplicate: true })),
        Err(refusal) => {
            let shown: String = found.reserved.external_id.chars().take(100).collect();
            return Ok(Err(refusal.code().failure(format!("`{shown}`: {refusal}"))));
        }
    };
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let own = posting_id(guest);
    let Some(entry) = found.into_end(guest, own.clone(), id, state, now) else {
        return Ok(Err(Code::Internal.failure("the reservation has a kind that this host does not know")));
    };
    guest.transaction.add_entry(entry);
    Ok(Ok(RecordedPosting { id: own, duplicate: false }))
}

/// A reservation as the transaction sees it.
struct SeenReservation {
    reserved: NewEntry,
    rule: Reservation,
    /// The id of the entry that ended it; empty if it is open.
    end: String,
}

/// Looks a reservation up among the transaction's own entries and in the store.
async fn find(guest: &mut GuestState, id: &str) -> wasmtime::Result<Option<SeenReservation>> {
    if id.len() > ID_BYTES {
        return Ok(None);
    }
    let own_end = guest.transaction.own_end_of(id).cloned();
    let (reserved, end) = match guest.transaction.own_reservation(id) {
        Some(own) => (own.clone(), own_end),
        None => {
            let stream = stream_of(guest);
            let store = Arc::clone(&guest.services.store);
            let stored = read(|| store.reservation(id)).await?;
            let Some(stored) = stored.filter(|stored| stored.entry.stream == stream) else { return Ok(None) };
            (as_new(stored.entry), stored.closed.map(as_new).or(own_end))
        }
    };
    let state = match &end {
        None => ReservationState::Open,
        Some(end) if end.call == EntryCall::Settle => ReservationState::Settled { minor_units: end.minor_units },
        Some(end) if end.call == EntryCall::Void => ReservationState::Voided,
        Some(_) => ReservationState::Expired,
    };
    let rule = Reservation {
        minor_units: reserved.minor_units,
        currency: reserved.currency.clone(),
        expires_at: reserved.expires_at,
        state,
    };
    Ok(Some(SeenReservation { reserved, rule, end: end.map(|end| end.id).unwrap_or_default() }))
}

/// Returns a stored entry without what its commit added.
fn as_new(entry: LedgerEntry) -> NewEntry {
    NewEntry {
        id: entry.id,
        stream: entry.stream,
        run: entry.run,
        external_id: entry.external_id,
        call: entry.call,
        kind: entry.kind,
        minor_units: entry.minor_units,
        currency: entry.currency,
        exponent: None,
        net_revenue: entry.net_revenue,
        occurred_at: entry.occurred_at,
        customer: entry.customer,
        description: entry.description,
        metadata: entry.metadata,
        of: entry.of,
        legs: entry.legs,
        pending: entry.pending,
        reservation: entry.reservation,
        expires_at: entry.expires_at,
        evidence: entry.evidence,
        paper: entry.paper,
        late_usage_millis: 0,
        customer_floor: None,
        content: entry.content,
    }
}

impl SeenReservation {
    /// Returns the entry that ends it in `state`. `None` if its kind is not known.
    fn into_end(
        self,
        guest: &GuestState,
        id: String,
        reservation: &str,
        state: ReservationState,
        now: Timestamp,
    ) -> Option<NewEntry> {
        let reserved = self.reserved;
        let kind = EntryKind::parse(&reserved.kind)?;
        let (call, minor_units, legs, net) = match state {
            ReservationState::Settled { minor_units } => {
                let legs = kind.legs(minor_units)?;
                (EntryCall::Settle, minor_units, stored(legs), net_revenue(legs))
            }
            _ => (EntryCall::Void, reserved.minor_units, Vec::new(), 0),
        };
        let content = EntryContent {
            kind,
            minor_units,
            currency: &reserved.currency,
            occurred_at: now,
            of: reserved.of.as_deref(),
            call,
            customer: reserved.customer.as_deref(),
        };
        let content = content.hash();
        let negated = |leg: LedgerLeg| LedgerLeg { minor_units: -leg.minor_units, ..leg };
        Some(NewEntry {
            id,
            run: Some(guest.run.id),
            external_id: format!("{}{}", reserved.external_id, state.suffix()?),
            call,
            minor_units,
            net_revenue: net,
            occurred_at: now,
            legs,
            pending: reserved.pending.into_iter().map(negated).collect(),
            reservation: Some(reservation.to_owned()),
            expires_at: None,
            evidence: evidence(guest),
            late_usage_millis: guest.run.ledger.late_usage_millis,
            customer_floor: None,
            content,
            ..reserved
        })
    }
}
