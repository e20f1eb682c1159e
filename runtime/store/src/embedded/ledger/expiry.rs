//! The entries that return the amounts of reservations whose time is over.

use tidemill_core::Timestamp;
use tidemill_core::money::EntryCall;

use crate::embedded::ledger::append::EntryAppender;
use crate::embedded::ledger::{entries, reservations};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{Evidence, ExpiredReservations, LedgerEntry, LedgerLeg, NewEntry};

/// Returns the amounts of at most `limit` reservations whose time is over.
pub(crate) fn expire(commit: &mut WriteTx<'_, '_>, now: Timestamp, limit: usize) -> Result<ExpiredReservations> {
    let mut due = Vec::new();
    reservations::each_due(commit, now, |entry| {
        due.push(entry);
        Ok(due.len() < limit)
    })?;
    if !due.is_empty() {
        let mut appending = EntryAppender::begin(commit, now)?;
        for reserved in &due {
            let expiry = expiry_of(commit, reserved)?;
            appending.add(commit, &expiry)?;
        }
        appending.finish(commit)?;
    }
    Ok(ExpiredReservations { expired: due.len(), next: reservations::next_end(commit)? })
}

/// Returns the entry that returns the amount of a reservation.
fn expiry_of(store: &impl ReadTx, reserved: &LedgerEntry) -> Result<NewEntry> {
    let back = |leg: &LedgerLeg| LedgerLeg { account: leg.account.clone(), minor_units: -leg.minor_units };
    let mut entry = NewEntry {
        id: String::new(),
        stream: reserved.stream.clone(),
        run: None,
        external_id: String::new(),
        call: EntryCall::Expire,
        kind: reserved.kind.clone(),
        minor_units: reserved.minor_units,
        currency: reserved.currency.clone(),
        exponent: None,
        net_revenue: 0,
        occurred_at: reserved.expires_at.unwrap_or(reserved.occurred_at),
        customer: reserved.customer.clone(),
        description: String::new(),
        metadata: "{}".to_owned(),
        of: Some(reserved.external_id.clone()),
        legs: Vec::new(),
        pending: reserved.pending.iter().map(back).collect(),
        reservation: Some(reserved.id.clone()),
        expires_at: None,
        evidence: Evidence::default(),
        paper: reserved.paper,
        content: <_>::default(),
    };
    entry.external_id = free_id(store, reserved)?;
    Ok(entry)
}

/// Returns the external id of an expiry. An earlier release let a stream post under such an id, so
/// that it may be taken.
fn free_id(store: &impl ReadTx, reserved: &LedgerEntry) -> Result<String> {
    let own = format!("{}/expired", reserved.external_id);
    for number in 1..1_000 {
        let id = if number == 1 { own.clone() } else { format!("{own}#{number}") };
        if entries::external_id_sequence(store, &reserved.stream, &id)?.is_none() {
            return Ok(id);
        }
    }
    Err(StoreError::IllegalTransition(format!("no external id is free for the expiry of {}", reserved.id)))
}
