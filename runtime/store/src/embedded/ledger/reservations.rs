//! Reservations: what is open, what ends, and the transitions between them.
//!
//! A reservation is open until one entry settles, voids or expires it. From the millisecond of its
//! end on it cannot be settled or voided, whether or not the timer has returned its amount.

use tidemill_core::money::{EntryCall, Reservation, ReservationEvent, ReservationState};
use tidemill_core::{Code, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::record::ReservationRecord;
use crate::embedded::ledger::{entries, keys};
use crate::embedded::tables::LEDGER_RESERVATIONS;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{LedgerEntry, NewEntry, Page, PageRequest, StoredReservation};

/// Writes a new reservation.
pub(crate) fn open(commit: &mut WriteTx<'_, '_>, entry: &LedgerEntry) -> Result<()> {
    let reserved = entry.pending_units();
    if !entry.legs.is_empty() || reserved <= 0 || reserved != entry.minor_units {
        return Err(entries::refused(&entry.id, "does not reserve its amount"));
    }
    let record = ReservationRecord {
        sequence: entry.sequence,
        stream: entry.stream.clone(),
        currency: entry.currency.clone(),
        minor_units: reserved,
        expires_at: entry.expires_at,
        closed_by: 0,
        answered: false,
    };
    commit.put_record(LEDGER_RESERVATIONS, &keys::reservation(&entry.id), &record)?;
    commit.put(LEDGER_RESERVATIONS, &keys::open_reservation(entry.sequence), entry.id.as_bytes());
    if let Some(end) = entry.expires_at {
        commit.put(LEDGER_RESERVATIONS, &keys::reservation_end(end, entry.sequence), entry.id.as_bytes());
    }
    Ok(())
}

/// Ends the reservation that an entry settles, voids or expires at `now`, and returns it as it was.
pub(crate) fn close(commit: &mut WriteTx<'_, '_>, entry: &LedgerEntry, now: Timestamp) -> Result<ReservationRecord> {
    let id = entry.reservation.as_deref().unwrap_or_default();
    let Some(record) = get(commit, id)? else { return Err(entries::refused(&entry.id, "ends no reservation")) };
    let event = match entry.call {
        EntryCall::Settle => ReservationEvent::Settle(Some((entry.minor_units, &entry.currency))),
        EntryCall::Void => ReservationEvent::Void,
        _ => ReservationEvent::Expire,
    };
    let same = record.closed_by == 0
        && record.stream == entry.stream
        && record.currency == entry.currency
        && entry.pending_units() == -record.minor_units
        && (entry.call == EntryCall::Settle) != entry.legs.is_empty();
    let open = Reservation {
        minor_units: record.minor_units,
        currency: record.currency.clone(),
        expires_at: record.expires_at,
        state: ReservationState::Open,
    };
    if !same {
        return Err(entries::refused(&entry.id, "does not end its reservation"));
    }
    open.next(event, now).map_err(|why| entries::refused(&entry.id, &why.to_string()))?;
    commit.delete(LEDGER_RESERVATIONS, &keys::open_reservation(record.sequence));
    if let Some(end) = record.expires_at {
        commit.delete(LEDGER_RESERVATIONS, &keys::reservation_end(end, record.sequence));
    }
    let closed = ReservationRecord { closed_by: entry.sequence, ..record.clone() };
    commit.put_record(LEDGER_RESERVATIONS, &keys::reservation(id), &closed)?;
    Ok(record)
}

/// Notes that entries answer an open reservation, so that its end has them judged again.
pub(crate) fn note_answered(commit: &mut WriteTx<'_, '_>, id: &str) -> Result<()> {
    match get(commit, id)? {
        Some(record) if !record.answered => {
            let answered = ReservationRecord { answered: true, ..record };
            commit.put_record(LEDGER_RESERVATIONS, &keys::reservation(id), &answered)
        }
        _ => Ok(()),
    }
}

pub(crate) fn get(store: &impl ReadTx, id: &str) -> Result<Option<ReservationRecord>> {
    store.record(LEDGER_RESERVATIONS, &keys::reservation(id))
}

/// Returns why an entry of `new` cannot end its reservation any more: another commit has ended it,
/// or its time is over.
pub(crate) fn impossible_end(store: &impl ReadTx, new: &[NewEntry], now: Timestamp) -> Result<Option<StoreError>> {
    for entry in new {
        if !matches!(entry.call, EntryCall::Settle | EntryCall::Void) {
            continue;
        }
        let Some(id) = entry.reservation.as_deref() else { continue };
        let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        let code = match (new.iter().find(|own| own.id == id), get(store, id)?) {
            (Some(own), _) if is_over(own.expires_at) => Code::ReservationExpired,
            (None, Some(record)) if record.closed_by != 0 => {
                match entries::EntryReader::new(store).named(record.closed_by)?.call {
                    EntryCall::Settle => Code::ReservationSettled,
                    EntryCall::Void => Code::ReservationVoided,
                    _ => Code::ReservationExpired,
                }
            }
            (None, Some(record)) if is_over(record.expires_at) => Code::ReservationExpired,
            _ => continue,
        };
        let detail = format!("reservation `{id}` has ended before `{}` was committed", entry.external_id);
        return Ok(Some(StoreError::EffectImpossible { code, detail }));
    }
    Ok(None)
}

/// Returns a reservation with the entry that ended it.
pub(crate) fn reservation(store: &impl ReadTx, id: &str) -> Result<Option<StoredReservation>> {
    let Some(record) = get(store, id)? else { return Ok(None) };
    let mut reader = entries::EntryReader::new(store);
    let entry = reader.named(record.sequence)?;
    let closed = if record.closed_by == 0 { None } else { Some(reader.named(record.closed_by)?) };
    Ok(Some(StoredReservation { entry, closed }))
}

/// Returns a page of the open reservations, oldest first.
pub(crate) fn page(store: &impl ReadTx, page: &PageRequest) -> Result<Page<LedgerEntry>> {
    let mut reader = entries::EntryReader::new(store);
    let rows = store.page(LEDGER_RESERVATIONS, &[keys::OPEN], false, page)?;
    rows.try_map(|(key, _)| reader.named(keys::sequence_at_end(&key)?))
}

/// Visits the reservations whose time is over at `now` and whose amount is still pending.
pub(crate) fn each_due(
    store: &impl ReadTx,
    now: Timestamp,
    mut visit: impl FnMut(LedgerEntry) -> Result<bool>,
) -> Result<()> {
    let mut reader = entries::EntryReader::new(store);
    let until = keys::reservation_end(now.plus_millis(1), 0);
    store.each_while(LEDGER_RESERVATIONS, vec![keys::ENDS]..until, |key, _| {
        visit(reader.named(keys::sequence_at_end(key)?)?)
    })
}

/// Returns when the next open reservation expires, or expired.
pub(crate) fn next_end(store: &impl ReadTx) -> Result<Option<Timestamp>> {
    let next = store.scan_prefix(LEDGER_RESERVATIONS, &[keys::ENDS], 1)?;
    Ok(next.first().and_then(|(key, _)| keys::end_of(key)))
}

/// Counts what is open by a full scan, for the check.
pub(crate) fn count_open(store: &impl ReadTx) -> Result<u64> {
    let mut open = 0;
    store.each(LEDGER_RESERVATIONS, prefix_range(&[keys::OPEN]), |_, _| {
        open += 1;
        Ok(())
    })?;
    Ok(open)
}

/// Returns the reservation's record in a row of the table; `None` for the other rows.
pub(crate) fn record_of<'k>(key: &'k [u8], bytes: &[u8]) -> Result<Option<(&'k str, ReservationRecord)>> {
    match key.split_first() {
        Some((0, id)) => Ok(Some((keys::text(id)?, decode(LEDGER_RESERVATIONS, bytes)?))),
        _ => Ok(None),
    }
}
