//! Findings that open or close at a time: an invoice that is not cleared after a day, a reservation
//! that is open after 30 days, an entry that was dated in the future, an account below its floor
//! of which a grant begins, a budget that has changed. A changed budget of fuel wakes the runs that
//! wait for it.

use tidemill_core::Timestamp;
use tidemill_core::money::report::{FindingKind, reservation_is_old_at};

use super::book::FindingBook;
use super::due_change::DueChange;
use super::floors::MovedAccount;
use super::keys::{self, FindingSubject};
use super::sides::{ClearingRecord, clearing_subject};
use crate::embedded::budgets::{fuel, judge};
use crate::embedded::codec::decode;
use crate::embedded::ledger::entries::EntryReader;
use crate::embedded::ledger::{entries, keys as ledger_keys};
use crate::embedded::tables::{LEDGER_FINDING_SUMS, LEDGER_FINDINGS, LEDGER_RESERVATIONS};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;
use crate::records::{DueBatch, LedgerEntry};

/// Opens and closes at most `limit` findings whose time has come, and wakes at most `limit` runs.
pub(crate) fn update(commit: &mut WriteTx<'_, '_>, now: Timestamp, limit: usize) -> Result<DueBatch> {
    let mut book = FindingBook::open(commit, now)?;
    let mut woken = 0;
    let until = [&[keys::DUE][..], &now.plus_millis(1).as_millis().to_be_bytes()].concat();
    for (key, bytes) in commit.range(LEDGER_FINDINGS, vec![keys::DUE]..until, false, limit)? {
        commit.delete(LEDGER_FINDINGS, &key);
        match decode(LEDGER_FINDINGS, &bytes)? {
            DueChange::Clearing { paper, invoice, currency } => {
                let sums = keys::clearing(paper, &invoice, &currency);
                if let Some(ClearingRecord { sum, sequence, .. }) = commit.record(LEDGER_FINDING_SUMS, &sums)? {
                    book.raise(commit, &clearing_subject(paper, &invoice, &currency), sequence, Some(sum))?;
                }
            }
            DueChange::Past { paper, stream, external_id } => {
                let (kind, stream) = (FindingKind::FutureDated, Some(stream));
                book.explain(commit, &FindingSubject { kind, paper, stream, name: external_id, currency: None })?;
            }
            DueChange::Budget { paper, stream, budget, after } => {
                let after = judge::judge_again(commit, &mut book, (paper, &stream, &budget), after, limit)?;
                if after.is_some() {
                    let change = DueChange::Budget { paper, stream, budget, after };
                    commit.put_record(LEDGER_FINDINGS, &key, &change)?;
                }
            }
            DueChange::FuelWaits { start, end } => {
                let (count, rest) = fuel::wake(commit, start..end, limit - woken)?;
                woken += count;
                if let Some(rest) = rest {
                    fuel::wake_later(commit, rest, now)?;
                }
            }
            DueChange::Floor { account } => {
                MovedAccount { key: account, floor: None }.judge(commit, &mut book, now)?;
            }
        }
    }
    open_old_reservations(commit, &mut book, now, limit)?;
    let done = book.changed() + woken;
    book.finish(commit)?;
    Ok(DueBatch { done, next: next(commit)? })
}

/// Opens findings about reservations that became old, oldest first.
fn open_old_reservations(
    commit: &mut WriteTx<'_, '_>,
    book: &mut FindingBook,
    now: Timestamp,
    limit: usize,
) -> Result<()> {
    let mut old: Vec<LedgerEntry> = Vec::new();
    let mut reader = EntryReader::new(commit);
    for (key, _) in commit.range(LEDGER_RESERVATIONS, young(book.marks.old_until), false, limit)? {
        let entry = reader.named(ledger_keys::sequence_at_end(&key)?)?;
        if reservation_is_old_at(entry.posted_at) > now {
            break;
        }
        old.push(entry);
    }
    for entry in old {
        book.marks.old_until = entry.sequence;
        let (sequence, reserved) = (entry.sequence, i128::from(entry.minor_units));
        book.raise(commit, &old_subject(entry), sequence, Some(reserved))?;
    }
    Ok(())
}

/// The subject of an old reservation.
pub(crate) fn old_subject(entry: LedgerEntry) -> FindingSubject {
    FindingSubject {
        kind: FindingKind::ReservationOld,
        paper: entry.paper,
        stream: Some(entry.stream),
        name: entry.external_id,
        currency: Some(entry.currency),
    }
}

/// The open reservations after a sequence number.
fn young(old_until: u64) -> std::ops::Range<Vec<u8>> {
    let first = ledger_keys::open_reservation(old_until.saturating_add(1));
    first..prefix_range(&[ledger_keys::OPEN]).end
}

/// Returns when the next finding opens or closes by its time.
pub(crate) fn next(store: &impl ReadTx) -> Result<Option<Timestamp>> {
    let due = store.scan_prefix(LEDGER_FINDINGS, &[keys::DUE], 1)?;
    let due = due.first().and_then(|(key, _)| crate::embedded::tables::time_of(key.get(1..)?));
    let oldest = store.range(LEDGER_RESERVATIONS, young(super::book::marks(store)?.old_until), false, 1)?;
    let old = match oldest.first() {
        Some((key, _)) => entries::at(store, ledger_keys::sequence_at_end(key)?)?,
        None => None,
    };
    let old = old.map(|entry| reservation_is_old_at(entry.posted_at));
    Ok([due, old].into_iter().flatten().min())
}
