//! What answers an entry: refunds, disputes and reversals, in sums that a commit updates.
//!
//! One sum is stored for each external id, currency and kind. A refund or a dispute counts with
//! what its own reversals have left of it, and a reversal with its amount. So a commit does not
//! read the other answers, and their order does not matter. The answered entry may come last.
//!
//! Example: sale `ch_1` of 100, refund `re_1` of 60, dispute `dp_1` of 60. The sums of `ch_1` are
//! 60 and 60, which exceed it by 20. The dispute is won: `dispute-reversal` of 60 for `dp_1`. The
//! sum of reversals of `dp_1` is 60, so nothing is left of it, and the sum of `ch_1` for disputes
//! becomes 0: the finding is explained.

use std::collections::BTreeMap;

use tidemill_core::money::report::{AnswerSums, FindingKind, is_return};
use tidemill_core::money::{EntryCall, EntryKind, LedgerStream};

use super::book::FindingBook;
use super::keys::{self, FindingSubject};
use super::noted::NotedEntry;
use crate::embedded::ledger::{entries, reservations};
use crate::embedded::tables::LEDGER_FINDING_SUMS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

/// The sums that one commit changes, and the entries that they answer.
#[derive(Default)]
pub(crate) struct AnswerBook {
    sums: BTreeMap<Vec<u8>, i128>,
    /// The entries to judge, and the last entry that changed a sum of theirs.
    touched: BTreeMap<(LedgerStream, String), u64>,
}

/// An entry that others answer.
struct AnsweredEntry {
    kind: EntryKind,
    currency: String,
    /// The amount that it posts, or would post while it is an open reservation.
    minor_units: i64,
    of: Option<String>,
    paper: bool,
    /// The entry with which its amount was posted; `None` if it was not.
    posted_by: Option<u64>,
    /// The id of an open reservation.
    open: Option<String>,
}

impl AnswerBook {
    /// Adds an entry to the sums of what it answers.
    pub(crate) fn add(&mut self, commit: &mut WriteTx<'_, '_>, entry: &NotedEntry, of: &str) -> Result<()> {
        let Some(kind) = EntryKind::parse(&entry.kind).filter(|_| entry.posted > 0) else { return Ok(()) };
        let (stream, currency, of) = (&entry.stream, entry.currency.as_str(), canonical(of));
        if is_return(kind) {
            let own = canonical(&entry.external_id);
            let reversed = self.reversed(commit, stream, own, currency, kind)?;
            let rest = AnswerSums { kind, minor_units: entry.posted, reversed, returned: 0 }.rest();
            *self.sum(commit, stream, of, currency, kind)? += rest;
            if reversed > 0 {
                self.touch(stream, own, entry.sequence);
            }
        } else if kind.reverses().is_some() {
            *self.sum(commit, stream, of, currency, kind)? += i128::from(entry.posted);
            self.note_reversal(commit, entry, kind, of)?;
        } else {
            return Ok(());
        }
        self.touch(stream, of, entry.sequence);
        Ok(())
    }

    /// Takes a reversal away from what its refund or dispute contributes to another entry.
    fn note_reversal(
        &mut self,
        commit: &mut WriteTx<'_, '_>,
        entry: &NotedEntry,
        kind: EntryKind,
        of: &str,
    ) -> Result<()> {
        let Some(answered) = load(commit, &entry.stream, of)? else { return Ok(()) };
        // If it comes later in this commit, it will see the reversal.
        let counted = answered.posted_by.is_some_and(|sequence| sequence < entry.sequence);
        let (same, Some(parent)) = (Some(answered.kind) == kind.reverses(), &answered.of) else { return Ok(()) };
        if !counted || !same || !is_return(answered.kind) || answered.currency != entry.currency {
            return Ok(());
        }
        let reversed = self.reversed(commit, &entry.stream, of, &entry.currency, answered.kind)?;
        let rest = |reversed| {
            AnswerSums { kind: answered.kind, minor_units: answered.minor_units, reversed, returned: 0 }.rest()
        };
        let less = rest(reversed - i128::from(entry.posted)) - rest(reversed);
        let parent = canonical(parent);
        *self.sum(commit, &entry.stream, parent, &entry.currency, answered.kind)? -= less;
        self.touch(&entry.stream, parent, entry.sequence);
        Ok(())
    }

    /// Notes that an entry must be judged.
    pub(crate) fn touch(&mut self, stream: &LedgerStream, external_id: &str, sequence: u64) {
        self.touched.insert((stream.clone(), canonical(external_id).to_owned()), sequence);
    }

    fn sum(
        &mut self,
        commit: &WriteTx<'_, '_>,
        stream: &LedgerStream,
        of: &str,
        currency: &str,
        kind: EntryKind,
    ) -> Result<&mut i128> {
        let key = keys::answers(stream, of, currency, kind.as_str());
        Ok(match self.sums.entry(key) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let stored = commit.record(LEDGER_FINDING_SUMS, new.key())?.unwrap_or_default();
                new.insert(stored)
            }
        })
    }

    fn reversed(
        &mut self,
        commit: &WriteTx<'_, '_>,
        stream: &LedgerStream,
        of: &str,
        currency: &str,
        kind: EntryKind,
    ) -> Result<i128> {
        let Some(reversal) = kind.reversal() else { return Ok(0) };
        Ok(*self.sum(commit, stream, of, currency, reversal)?)
    }

    /// Writes the sums, and opens and explains the findings that follow from them.
    pub(crate) fn finish(mut self, commit: &mut WriteTx<'_, '_>, book: &mut FindingBook) -> Result<()> {
        for ((stream, external_id), sequence) in std::mem::take(&mut self.touched) {
            let Some(answered) = load(commit, &stream, &external_id)? else { continue };
            let AnsweredEntry { kind, currency, minor_units, paper, open, .. } = answered;
            if let Some(id) = open {
                // Its end changes what it posts.
                reservations::note_answered(commit, &id)?;
            }
            let reversed = self.reversed(commit, &stream, &external_id, &currency, kind)?;
            let mut returned = 0;
            if kind.accounts().0.is_revenue() {
                for kind in [EntryKind::Refund, EntryKind::Dispute] {
                    returned += *self.sum(commit, &stream, &external_id, &currency, kind)?;
                }
            }
            let sums = AnswerSums { kind, minor_units, reversed, returned };
            for (kind, excess) in
                [(FindingKind::OverRefunded, sums.over_refunded()), (FindingKind::OverReversed, sums.over_reversed())]
            {
                let (stream, name) = (Some(stream.clone()), external_id.clone());
                let subject = FindingSubject { kind, paper, stream, name, currency: Some(currency.clone()) };
                if excess.is_some() {
                    book.raise(commit, &subject, sequence, excess)?;
                } else {
                    book.explain(commit, &subject)?;
                }
            }
        }
        for (key, sum) in self.sums {
            match sum {
                0 => commit.delete(LEDGER_FINDING_SUMS, &key),
                sum => commit.put_record(LEDGER_FINDING_SUMS, &key, &sum)?,
            }
        }
        Ok(())
    }
}

/// The external id by which the answers to an entry are counted: that of the reservation for its
/// settlement.
pub(crate) fn canonical(external_id: &str) -> &str {
    external_id.strip_suffix("/settled").unwrap_or(external_id)
}

fn load(store: &impl ReadTx, stream: &LedgerStream, external_id: &str) -> Result<Option<AnsweredEntry>> {
    let Some(entry) = entries::by_external_id(store, stream, external_id)? else { return Ok(None) };
    let Some(kind) = EntryKind::parse(&entry.kind) else { return Ok(None) };
    let (mut minor_units, mut posted_by, mut open) = (entry.posted_units(), Some(entry.sequence), None);
    if entry.call == EntryCall::Reserve {
        let reservation = reservations::reservation(store, &entry.id)?;
        (minor_units, posted_by) = match reservation.and_then(|reservation| reservation.closed) {
            None => {
                open = Some(entry.id);
                (entry.minor_units, None)
            }
            Some(end) if end.call == EntryCall::Settle => (end.minor_units, Some(end.sequence)),
            Some(_) => (0, None),
        };
    }
    let (currency, of, paper) = (entry.currency, entry.of, entry.paper);
    Ok(Some(AnsweredEntry { kind, currency, minor_units, of, paper, posted_by, open }))
}
