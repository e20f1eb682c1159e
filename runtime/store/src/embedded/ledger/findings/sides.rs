//! Entries that belong together: the sides of a conversion, and what streams pass on for an
//! invoice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::report::{FindingKind, clearing_is_open_at, is_conversion_unpaired};
use tidemill_core::money::{Account, EntryKind, LedgerStream};

use super::book::FindingBook;
use super::due_change::DueChange;
use super::keys::{self, FindingSubject};
use super::noted::NotedEntry;
use crate::embedded::tables::{LEDGER_FINDING_SUMS, LEDGER_FINDINGS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

/// What streams passed on for an invoice in one currency, until it sums to zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClearingRecord {
    /// The balance of `clearing`, in minor units.
    pub(crate) sum: i128,
    /// When the first entry since the last zero was posted.
    pub(crate) since: Timestamp,
    /// The sequence number of the last entry.
    pub(crate) sequence: u64,
}

/// The conversions that one commit changes, with the last entry of each.
#[derive(Default)]
pub(crate) struct ConversionBook(BTreeMap<(LedgerStream, String), ConversionChange>);

#[derive(Default)]
struct ConversionChange {
    sums: BTreeMap<String, i128>,
    sequence: u64,
    paper: bool,
}

/// Returns what an entry adds to an account, in minor units.
fn added_to(account: Account, kind: EntryKind, posted: i64) -> i128 {
    match kind.accounts() {
        (_, to) if to == account => i128::from(posted),
        (from, _) if from == account => -i128::from(posted),
        _ => 0,
    }
}

impl ConversionBook {
    /// Adds a side of a conversion. Without an id, its external id or what it answers is the id, so
    /// that an entry and its correction belong together.
    pub(crate) fn add(&mut self, entry: &NotedEntry, kind: EntryKind) {
        let own = || entry.of.clone().unwrap_or_else(|| entry.external_id.clone());
        let id = entry.link.clone().unwrap_or_else(own);
        let change = self.0.entry((entry.stream.clone(), id)).or_default();
        *change.sums.entry(entry.currency.clone()).or_default() += added_to(Account::Conversion, kind, entry.posted);
        (change.sequence, change.paper) = (entry.sequence, entry.paper);
    }

    /// Writes the sums, and opens and explains findings.
    pub(crate) fn finish(self, commit: &mut WriteTx<'_, '_>, book: &mut FindingBook) -> Result<()> {
        for ((stream, id), ConversionChange { sums: added, sequence, paper }) in self.0 {
            let key = keys::conversion(&stream, &id);
            let mut sums: BTreeMap<String, i128> = commit.record(LEDGER_FINDING_SUMS, &key)?.unwrap_or_default();
            for (currency, sum) in added {
                *sums.entry(currency).or_default() += sum;
            }
            sums.retain(|_, sum| *sum != 0);
            match sums.is_empty() {
                true => commit.delete(LEDGER_FINDING_SUMS, &key),
                false => commit.put_record(LEDGER_FINDING_SUMS, &key, &sums)?,
            }
            let (kind, stream) = (FindingKind::ConversionUnpaired, Some(stream));
            let subject = FindingSubject { kind, paper, stream, name: id, currency: None };
            if is_conversion_unpaired(sums.into_values()) {
                book.raise(commit, &subject, sequence, None)?;
            } else {
                book.explain(commit, &subject)?;
            }
        }
        Ok(())
    }
}

/// Adds what a stream passed on for an invoice. It becomes a finding if it is not zero a day later.
pub(crate) fn clear(
    commit: &mut WriteTx<'_, '_>,
    book: &mut FindingBook,
    entry: &NotedEntry,
    kind: EntryKind,
) -> Result<()> {
    let invoice = entry.link.as_deref().unwrap_or_default();
    let key = keys::clearing(entry.paper, invoice, &entry.currency);
    let before: ClearingRecord = commit.record(LEDGER_FINDING_SUMS, &key)?.unwrap_or_default();
    let sum = before.sum.saturating_add(added_to(Account::Clearing, kind, entry.posted));
    let subject = clearing_subject(entry.paper, invoice, &entry.currency);
    let is_open = before.sum != 0;
    if sum == 0 {
        commit.delete(LEDGER_FINDING_SUMS, &key);
        if is_open {
            commit.delete(LEDGER_FINDINGS, &subject.due(clearing_is_open_at(before.since)));
            book.explain(commit, &subject)?;
        }
        return Ok(());
    }
    let since = if is_open { before.since } else { entry.posted_at };
    commit.put_record(LEDGER_FINDING_SUMS, &key, &ClearingRecord { sum, since, sequence: entry.sequence })?;
    if !is_open {
        let (paper, invoice, currency) = (entry.paper, invoice.to_owned(), entry.currency.clone());
        let change = DueChange::Clearing { paper, invoice, currency };
        commit.put_record(LEDGER_FINDINGS, &subject.due(clearing_is_open_at(since)), &change)?;
    } else if FindingBook::has(commit, &subject)? {
        book.raise(commit, &subject, entry.sequence, Some(sum))?;
    }
    Ok(())
}

/// The subject of an invoice between streams.
pub(crate) fn clearing_subject(paper: bool, invoice: &str, currency: &str) -> FindingSubject {
    FindingSubject {
        kind: FindingKind::ClearingOpen,
        paper,
        stream: None,
        name: invoice.to_owned(),
        currency: Some(currency.to_owned()),
    }
}
