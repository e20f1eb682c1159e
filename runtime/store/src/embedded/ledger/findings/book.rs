//! Opens findings, explains them by later entries, and closes them by hand.
//!
//! A finding has a number and a subject, and each leads to the other. A finding that entries
//! explain is removed. One that a person closed is kept, with the reason; it is opened again if its
//! amount changes. If it is explained after it was closed, its subject is free for a new finding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;

use super::keys::{self, FindingSubject};
use crate::embedded::codec::decode;
use crate::embedded::tables::{LEDGER_FINDINGS, LEDGER_MARKS};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{FeedEvent, Finding, FindingClosure, FindingCount, FindingFilter, Page, PageRequest};

/// Maximum number of findings that a page reads to fill itself.
const READ_AT_MOST: usize = 2_000;

/// What all findings have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FindingMarks {
    /// The number of the last finding.
    pub(crate) last: u64,
    /// The number of open findings.
    pub(crate) open: u64,
    /// The number of external ids that entries answer and that do not exist.
    pub(crate) unknown: u64,
    /// Every open reservation up to this sequence number is old.
    pub(crate) old_until: u64,
}

/// The findings that one commit changes.
pub(crate) struct FindingBook {
    pub(crate) marks: FindingMarks,
    stored: FindingMarks,
    now: Timestamp,
    /// The number of changes of one kind, stream and change, and the last finding.
    changes: BTreeMap<(FindingKind, Option<LedgerStream>, &'static str), (u64, u64)>,
}

impl FindingBook {
    /// Reads the marks.
    pub(crate) fn open(store: &impl ReadTx, now: Timestamp) -> Result<Self> {
        let stored = marks(store)?;
        Ok(Self { marks: stored, stored, now, changes: BTreeMap::new() })
    }

    /// Opens a finding, or updates its amount. Returns whether its subject had none.
    pub(crate) fn raise(
        &mut self,
        commit: &mut WriteTx<'_, '_>,
        subject: &FindingSubject,
        sequence: u64,
        minor_units: Option<i128>,
    ) -> Result<bool> {
        let key = subject.key();
        if let Some(number) = commit.record::<u64>(LEDGER_FINDINGS, &key)? {
            self.update(commit, subject, number, sequence, minor_units)?;
            return Ok(false);
        }
        self.marks.last += 1;
        let finding = Finding {
            number: self.marks.last,
            kind: subject.kind.as_str().to_owned(),
            stream: subject.stream.clone(),
            subject: subject.name.clone(),
            currency: subject.currency.clone(),
            minor_units,
            sequence,
            paper: subject.paper,
            opened_at: self.now,
            closure: None,
        };
        commit.put_record(LEDGER_FINDINGS, &key, &finding.number)?;
        commit.put_record(LEDGER_FINDINGS, &keys::number(keys::OPEN, finding.number), &finding)?;
        self.marks.open += 1;
        self.note(subject, "opened", finding.number);
        Ok(true)
    }

    fn update(
        &mut self,
        commit: &mut WriteTx<'_, '_>,
        subject: &FindingSubject,
        number: u64,
        sequence: u64,
        minor_units: Option<i128>,
    ) -> Result<()> {
        let open = keys::number(keys::OPEN, number);
        if let Some(found) = commit.record::<Finding>(LEDGER_FINDINGS, &open)? {
            if found.minor_units != minor_units {
                commit.put_record(LEDGER_FINDINGS, &open, &Finding { minor_units, sequence, ..found })?;
            }
            return Ok(());
        }
        let closed = keys::number(keys::CLOSED, number);
        if let Some(found) = commit.record::<Finding>(LEDGER_FINDINGS, &closed)?
            && found.minor_units != minor_units
        {
            commit.delete(LEDGER_FINDINGS, &closed);
            let finding = Finding { minor_units, sequence, closure: None, ..found };
            commit.put_record(LEDGER_FINDINGS, &open, &finding)?;
            self.marks.open += 1;
            self.note(subject, "reopened", number);
        }
        Ok(())
    }

    /// Removes the finding about a subject because entries explain it. Returns whether there was
    /// one, open or closed.
    pub(crate) fn explain(&mut self, commit: &mut WriteTx<'_, '_>, subject: &FindingSubject) -> Result<bool> {
        let key = subject.key();
        let Some(number) = commit.record::<u64>(LEDGER_FINDINGS, &key)? else { return Ok(false) };
        commit.delete(LEDGER_FINDINGS, &key);
        let open = keys::number(keys::OPEN, number);
        if commit.bytes(LEDGER_FINDINGS, &open)?.is_some() {
            commit.delete(LEDGER_FINDINGS, &open);
            self.marks.open = self.marks.open.saturating_sub(1);
            self.note(subject, "explained", number);
        }
        Ok(true)
    }

    /// Returns whether a subject has a finding, open or closed.
    pub(crate) fn has(store: &impl ReadTx, subject: &FindingSubject) -> Result<bool> {
        Ok(store.bytes(LEDGER_FINDINGS, &subject.key())?.is_some())
    }

    fn note(&mut self, subject: &FindingSubject, change: &'static str, number: u64) {
        let (count, last) = self.changes.entry((subject.kind, subject.stream.clone(), change)).or_default();
        (*count, *last) = (*count + 1, number);
    }

    /// Returns the number of changes.
    pub(crate) fn changed(&self) -> usize {
        self.changes.values().map(|(count, _)| usize::try_from(*count).unwrap_or(usize::MAX)).sum()
    }

    /// Writes the marks and announces the changes.
    pub(crate) fn finish(self, commit: &mut WriteTx<'_, '_>) -> Result<()> {
        if self.marks != self.stored {
            commit.put_record(LEDGER_MARKS, keys::MARKS, &self.marks)?;
        }
        for ((kind, stream, change), (findings, number)) in self.changes {
            let (kind, change) = (kind.as_str().to_owned(), change.to_owned());
            commit.announce(self.now, &FeedEvent::Finding { kind, stream, change, findings, number })?;
        }
        Ok(())
    }
}

/// Returns what all findings have in common.
pub(crate) fn marks(store: &impl ReadTx) -> Result<FindingMarks> {
    Ok(store.record(LEDGER_MARKS, keys::MARKS)?.unwrap_or_default())
}

/// Counts the open findings by kind, in the order of the kinds' names.
pub(crate) fn count_open(store: &impl ReadTx) -> Result<Vec<FindingCount>> {
    let mut counts: BTreeMap<String, FindingCount> = BTreeMap::new();
    store.each(LEDGER_FINDINGS, prefix_range(&[keys::OPEN]), |_, bytes| {
        let finding: Finding = decode(LEDGER_FINDINGS, bytes)?;
        let zero = || FindingCount { kind: finding.kind.clone(), open: 0, on_paper: 0 };
        let count = counts.entry(finding.kind.clone()).or_insert_with(zero);
        *(if finding.paper { &mut count.on_paper } else { &mut count.open }) += 1;
        Ok(())
    })?;
    Ok(counts.into_values().collect())
}

/// Returns a finding, open or closed.
pub(crate) fn find(store: &impl ReadTx, number: u64) -> Result<Option<Finding>> {
    for state in [keys::OPEN, keys::CLOSED] {
        if let Some(finding) = store.record(LEDGER_FINDINGS, &keys::number(state, number))? {
            return Ok(Some(finding));
        }
    }
    Ok(None)
}

/// Closes a finding by hand. If it is closed, returns it as it is.
pub(crate) fn close(commit: &mut WriteTx<'_, '_>, number: u64, closure: &FindingClosure) -> Result<Finding> {
    let [open, closed] = [keys::OPEN, keys::CLOSED].map(|state| keys::number(state, number));
    let Some(found) = commit.record::<Finding>(LEDGER_FINDINGS, &open)? else {
        let found = commit.record(LEDGER_FINDINGS, &closed)?;
        return found.ok_or_else(|| StoreError::NotFound { kind: "finding", name: number.to_string() });
    };
    let finding = Finding { closure: Some(closure.clone()), ..found };
    commit.delete(LEDGER_FINDINGS, &open);
    commit.put_record(LEDGER_FINDINGS, &closed, &finding)?;
    let mut book = FindingBook::open(commit, closure.at)?;
    book.marks.open = book.marks.open.saturating_sub(1);
    if let Some(kind) = FindingKind::parse(&finding.kind) {
        book.changes.insert((kind, finding.stream.clone(), "closed"), (1, number));
    }
    book.finish(commit)?;
    Ok(finding)
}

/// Lists findings, the latest first.
pub(crate) fn page(store: &impl ReadTx, filter: &FindingFilter, page: &PageRequest) -> Result<Page<Finding>> {
    let state = if filter.closed { keys::CLOSED } else { keys::OPEN };
    let (mut items, mut read) = (Vec::new(), 0);
    let mut request = page.clone();
    loop {
        request.limit = page.limit.max(1) - items.len();
        let rows = store.record_page::<Finding>(LEDGER_FINDINGS, &[state], true, &request)?;
        read += rows.items.len();
        items.extend(rows.items.into_iter().filter(|finding| filter.selects(finding)));
        if rows.next.is_none() || items.len() >= page.limit.max(1) || read >= READ_AT_MOST {
            return Ok(Page { items, next: rows.next });
        }
        request.cursor = rows.next;
    }
}
