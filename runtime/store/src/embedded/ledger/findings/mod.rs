//! Findings: what is odd about entries. A commit opens and explains them with its entries, from
//! sums and rows under the keys that the entries name; it scans nothing.
//!
//! While entries are appended, those with something to judge are noted. At the end of the commit,
//! when all its entries are in place, they are judged together. So a refund and its sale, or both
//! sides of a conversion, may come in any order in one transaction.
//!
//! `noted` is what is judged of an entry. `answers` judges refunds, disputes and reversals; `sides`
//! conversions and invoices; `floors` customers' accounts; `due` what opens or closes at a time.
//! `book` keeps the findings.

mod answers;
pub(crate) mod book;
pub(crate) mod due;
pub(crate) mod due_change;
#[cfg(test)]
mod floor_tests;
pub(crate) mod floors;
pub(crate) mod keys;
mod noted;
pub(crate) mod sides;
mod store;
#[cfg(test)]
mod tests;

use tidemill_core::Timestamp;
use tidemill_core::money::report::FindingKind;
use tidemill_core::money::{Account, EntryKind, LedgerStream};

use self::answers::AnswerBook;
use self::book::{FindingBook, FindingMarks};
use self::due_change::DueChange;
use self::floors::MovedAccount;
use self::keys::FindingSubject;
use self::noted::NotedEntry;
use self::sides::ConversionBook;
use crate::embedded::ledger::entries;
use crate::embedded::tables::LEDGER_FINDINGS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::LedgerEntry;

/// What precedes the number of the wrong entry in the external id of its correction.
const CORRECTED: (&str, &str) = ("entry-", "/corrected");

/// The entries of one commit that have something to judge.
#[derive(Default)]
pub(crate) struct FindingNotes {
    marks: FindingMarks,
    entries: Vec<NotedEntry>,
    /// Every external id, if entries answer one that did not exist before.
    ids: Vec<(LedgerStream, String, bool)>,
    /// Sequence numbers of reservations that ended and are old, or that others answer.
    ended: Vec<u64>,
}

impl FindingNotes {
    /// Begins a commit.
    pub(crate) fn begin(store: &impl ReadTx) -> Result<Self> {
        Ok(Self { marks: book::marks(store)?, ..Self::default() })
    }

    /// Notes an entry if it has something to judge.
    pub(crate) fn note(&mut self, entry: &LedgerEntry) {
        if self.marks.unknown > 0 {
            self.ids.push((entry.stream.clone(), entry.external_id.clone(), entry.paper));
        }
        self.entries.extend(NotedEntry::of(entry));
    }

    /// Notes the end of a reservation. `answered` is whether entries answer it.
    pub(crate) fn note_end(&mut self, sequence: u64, answered: bool) {
        if answered || sequence <= self.marks.old_until {
            self.ended.push(sequence);
        }
    }

    /// Judges the entries. `balances` are the accounts `receivable` whose sign has changed, and
    /// whether they are below zero now. `accounts` are those of customers that entries have moved.
    pub(crate) fn finish(
        self,
        commit: &mut WriteTx<'_, '_>,
        now: Timestamp,
        balances: Vec<ReceivableSign>,
        accounts: Vec<MovedAccount>,
    ) -> Result<()> {
        let Self { entries, ids, ended, .. } = self;
        let mut judged = Vec::new();
        for account in accounts {
            if account.is_judged(commit)? {
                judged.push(account);
            }
        }
        if entries.is_empty() && ids.is_empty() && ended.is_empty() && balances.is_empty() && judged.is_empty() {
            return Ok(());
        }
        let mut book = FindingBook::open(commit, now)?;
        let (mut answers, mut conversions) = (AnswerBook::default(), ConversionBook::default());
        for (stream, external_id, paper) in ids {
            explain_unknown(commit, &mut book, &mut answers, &stream, external_id, paper)?;
        }
        for entry in &entries {
            if let Some(of) = &entry.of {
                if !entry.ends_reservation {
                    note_unknown(commit, &mut book, entry, of)?;
                }
                answers.add(commit, entry, of)?;
            }
            judge_alone(commit, &mut book, entry)?;
            match EntryKind::parse(&entry.kind).filter(|_| entry.has_side && entry.posted != 0) {
                Some(kind) if kind.is_conversion() => conversions.add(entry, kind),
                Some(kind) => sides::clear(commit, &mut book, entry, kind)?,
                None => {}
            }
        }
        for sequence in ended {
            let Some(entry) = entries::at(commit, sequence)? else { continue };
            answers.touch(&entry.stream, &entry.external_id, sequence);
            book.explain(commit, &due::old_subject(entry))?;
        }
        conversions.finish(commit, &mut book)?;
        answers.finish(commit, &mut book)?;
        for ReceivableSign { stream, currency, paper, below_zero } in balances {
            let (kind, stream) = (FindingKind::NegativeReceivable, Some(stream));
            let subject = FindingSubject { kind, paper, stream, name: String::new(), currency: Some(currency) };
            if below_zero {
                let sequence = entries::head(commit)?.head.sequence;
                book.raise(commit, &subject, sequence, None)?;
            } else {
                book.explain(commit, &subject)?;
            }
        }
        for account in judged {
            account.judge(commit, &mut book, now)?;
        }
        book.finish(commit)
    }
}

/// The account `receivable` of a stream whose sign has changed.
pub(crate) struct ReceivableSign {
    pub(crate) stream: LedgerStream,
    pub(crate) currency: String,
    pub(crate) paper: bool,
    pub(crate) below_zero: bool,
}

/// Opens findings about entries whose external ids came again with other content.
pub(crate) fn raise_id_conflicts(
    commit: &mut WriteTx<'_, '_>,
    stream: &LedgerStream,
    external_ids: &[String],
    now: Timestamp,
) -> Result<()> {
    let mut book = FindingBook::open(commit, now)?;
    for external_id in external_ids {
        let Some(entry) = entries::by_external_id(commit, stream, external_id)? else { continue };
        let (kind, stream, name) = (FindingKind::IdConflict, Some(entry.stream), entry.external_id);
        let subject = FindingSubject { kind, paper: entry.paper, stream, name, currency: None };
        book.raise(commit, &subject, entry.sequence, None)?;
    }
    book.finish(commit)
}

/// Judges the account of a customer again, if it was below its floor.
pub(crate) fn judge_account(commit: &mut WriteTx<'_, '_>, account: MovedAccount, now: Timestamp) -> Result<()> {
    if !account.is_judged(commit)? {
        return Ok(());
    }
    let mut book = FindingBook::open(commit, now)?;
    account.judge(commit, &mut book, now)?;
    book.finish(commit)
}

fn subject_of(kind: FindingKind, entry: &NotedEntry) -> FindingSubject {
    let (stream, name) = (Some(entry.stream.clone()), entry.external_id.clone());
    FindingSubject { kind, paper: entry.paper, stream, name, currency: None }
}

/// Opens and explains what follows from one entry alone.
fn judge_alone(commit: &mut WriteTx<'_, '_>, book: &mut FindingBook, entry: &NotedEntry) -> Result<()> {
    if entry.is_late {
        book.raise(commit, &subject_of(FindingKind::Late, entry), entry.sequence, None)?;
    }
    if entry.is_future {
        let subject = subject_of(FindingKind::FutureDated, entry);
        book.raise(commit, &subject, entry.sequence, None)?;
        let (paper, stream, external_id) = (entry.paper, entry.stream.clone(), entry.external_id.clone());
        let change = DueChange::Past { paper, stream, external_id };
        commit.put_record(LEDGER_FINDINGS, &subject.due(entry.occurred_at), &change)?;
    }
    if entry.by_hand
        && let Some(number) = entry.external_id.strip_prefix(CORRECTED.0).and_then(|id| id.strip_suffix(CORRECTED.1))
        && let Ok(sequence) = number.parse()
        && let Some(wrong) = entries::at(commit, sequence)?.filter(|wrong| wrong.stream == entry.stream)
    {
        for kind in [FindingKind::Late, FindingKind::IdConflict] {
            let (stream, name) = (Some(wrong.stream.clone()), wrong.external_id.clone());
            book.explain(commit, &FindingSubject { kind, paper: wrong.paper, stream, name, currency: None })?;
        }
    }
    Ok(())
}

fn unknown(stream: &LedgerStream, external_id: String, paper: bool) -> FindingSubject {
    let (kind, stream) = (FindingKind::OfUnknown, Some(stream.clone()));
    FindingSubject { kind, paper, stream, name: external_id, currency: None }
}

fn note_unknown(commit: &mut WriteTx<'_, '_>, book: &mut FindingBook, entry: &NotedEntry, of: &str) -> Result<()> {
    if entries::external_id_sequence(commit, &entry.stream, of)?.is_none() {
        let subject = unknown(&entry.stream, of.to_owned(), entry.paper);
        book.marks.unknown += u64::from(book.raise(commit, &subject, entry.sequence, None)?);
    }
    Ok(())
}

/// Explains the answers to an external id that exists now, and has its entry judged.
fn explain_unknown(
    commit: &mut WriteTx<'_, '_>,
    book: &mut FindingBook,
    answers: &mut AnswerBook,
    stream: &LedgerStream,
    external_id: String,
    paper: bool,
) -> Result<()> {
    let subject = unknown(stream, external_id, paper);
    if book.explain(commit, &subject)? {
        book.marks.unknown = book.marks.unknown.saturating_sub(1);
        let sequence = entries::external_id_sequence(commit, stream, &subject.name)?.unwrap_or_default();
        answers.touch(stream, &subject.name, sequence);
    }
    Ok(())
}

/// Returns the accounts `receivable` among changed balances whose sign has changed.
pub(crate) fn receivable_sign(
    stream: LedgerStream,
    (account, currency): (&str, &str),
    (before, after): (i128, i128),
    paper: bool,
) -> Option<ReceivableSign> {
    let changed = account == Account::Receivable.as_str() && (before < 0) != (after < 0);
    changed.then(|| ReceivableSign { stream, currency: currency.to_owned(), paper, below_zero: after < 0 })
}
