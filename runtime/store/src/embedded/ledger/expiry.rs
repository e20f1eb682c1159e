//! The entries that return the amounts of reservations whose time is over.

use tidemill_core::Timestamp;
use tidemill_core::money::{EntryCall, LedgerStream};

use crate::embedded::ledger::append::EntryAppender;
use crate::embedded::ledger::{entries, reservations};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{DueBatch, Evidence, LedgerEntry, LedgerLeg, NewEntry};

/// Returns the amounts of at most `limit` reservations whose time is over.
pub(crate) fn expire(commit: &mut WriteTx<'_, '_>, now: Timestamp, limit: usize) -> Result<DueBatch> {
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
    Ok(DueBatch { done: due.len(), next: reservations::next_end(commit)? })
}

/// Returns the entry that returns the amount of a reservation.
pub(crate) fn expiry_of(store: &impl ReadTx, reserved: &LedgerEntry) -> Result<NewEntry> {
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
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    };
    entry.external_id = free_id(store, &reserved.stream, &reserved.external_id)?;
    Ok(entry)
}

/// Returns the external id of what expires of an entry. It may be taken: an earlier release let a
/// stream post under such an id, and a grant has a rest again if something returns to it.
pub(crate) fn free_id(store: &impl ReadTx, stream: &LedgerStream, external_id: &str) -> Result<String> {
    let own = format!("{external_id}/expired");
    for number in 1..1_000 {
        let id = if number == 1 { own.clone() } else { format!("{own}#{number}") };
        if entries::external_id_sequence(store, stream, &id)?.is_none() {
            return Ok(id);
        }
    }
    Err(StoreError::IllegalTransition(format!("no external id is free for the expiry of `{external_id}`")))
}
