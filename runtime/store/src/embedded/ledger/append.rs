//! Appends entries to the ledger in a commit: gives each its sequence number and hash, and writes
//! it with everything that depends on it.
//!
//! Example: a commit of 500 entries of one stream, kind, currency and quarter of an hour writes 32
//! records of entries, 500 external ids, 500 rows by time, and once each: two balances, a total,
//! four buckets, the range of the run's entries and the head. Most entries raise no finding; they
//! cost nothing in `findings`.
//!
//! Invariants:
//! - No transaction reads the head, the balances or the buckets, so that postings never conflict
//!   over them. The committer executes one commit after another on the newest state.
//! - `posted_at` does not decrease with the sequence number, and is not in a closed period. If the
//!   clock was set back, entries get the time of the last entry, or of the end of that period.

use tidemill_core::money::{EntryCall, LedgerStream};
use tidemill_core::run::Run;
use tidemill_core::{Code, RunId, Timestamp};

use crate::embedded::budgets::count::{BudgetChanges, TakenBy};
use crate::embedded::codec::encode;
use crate::embedded::ledger::credit::changes::AccountChanges;
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::question;
use crate::embedded::ledger::findings::FindingNotes;
use crate::embedded::ledger::findings::floors::FloorRecord;
use crate::embedded::ledger::record::{HeadRecord, ReservationRecord};
use crate::embedded::ledger::sums::LedgerSums;
use crate::embedded::ledger::{self, entries, expiry, keys, periods, reservations, rows, totals, units};
use crate::embedded::tables::{LEDGER_ENTRIES, LEDGER_MARKS, LEDGER_RUNS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{AppendedEntry, FeedEvent, LedgerEntry, LedgerLeg, NewEntry};

/// Posts the entries of a run's transaction.
pub(crate) fn post(
    commit: &mut WriteTx<'_, '_>,
    run: &Run,
    new: &[NewEntry],
    leaves_out_duplicates: bool,
    now: Timestamp,
) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let mut appending = EntryAppender::begin(commit, now)?;
    let mut sums: Vec<(&str, u64, i64)> = Vec::new();
    for entry in new {
        if entry.stream.deployment() != run.deployment.as_str() || entry.run != Some(run.id) {
            return Err(entries::refused(&entry.id, "belongs to another run"));
        }
        if leaves_out_duplicates && ledger::is_duplicate(commit, entry)? {
            continue;
        }
        appending.add(commit, entry)?;
        // What is on paper is in no total that a reader of the feed adds up.
        if entry.paper {
            continue;
        }
        match sums.iter_mut().find(|(currency, ..)| *currency == entry.currency) {
            Some((_, entries, net)) => {
                *entries += 1;
                *net = net.saturating_add(entry.net_revenue);
            }
            None => sums.push((&entry.currency, 1, entry.net_revenue)),
        }
    }
    appending.finish(commit)?;
    for (currency, entries, net_revenue) in sums {
        let (stream, run, currency) = (run.deployment.clone(), run.id, currency.to_owned());
        commit.announce(now, &FeedEvent::Posted { stream, run, currency, entries, net_revenue })?;
    }
    Ok(())
}

/// Appends entries that no run posted, all or none.
pub(crate) fn append_by_host(
    commit: &mut WriteTx<'_, '_>,
    new: &[NewEntry],
    now: Timestamp,
) -> Result<Vec<AppendedEntry>> {
    let mut known = Vec::with_capacity(new.len());
    for (place, entry) in new.iter().enumerate() {
        let taken = || StoreError::ExternalIdTaken { external_id: entry.external_id.clone() };
        let repeated = |other: &NewEntry| other.stream == entry.stream && other.external_id == entry.external_id;
        if entry.run.is_some() || new[..place].iter().any(repeated) {
            return Err(taken());
        }
        let stored = entries::by_external_id(commit, &entry.stream, &entry.external_id)?;
        if stored.as_ref().is_some_and(|stored| stored.content != entry.content) {
            return Err(taken());
        }
        known.push(stored);
    }
    let mut appending = EntryAppender::begin(commit, now)?;
    let mut numbers = Vec::with_capacity(new.len());
    for (entry, known) in new.iter().zip(&known) {
        numbers.push(if known.is_some() { 0 } else { appending.add(commit, entry)? });
    }
    appending.finish(commit)?;
    let mut reader = entries::EntryReader::new(commit);
    let of = |(known, number): (Option<LedgerEntry>, u64)| match known {
        Some(stored) => Ok(AppendedEntry::Duplicate(Box::new(stored))),
        None => Ok(AppendedEntry::New(Box::new(reader.named(number)?))),
    };
    known.into_iter().zip(numbers).map(of).collect()
}

/// The entries that a commit appends.
pub(crate) struct EntryAppender {
    head: HeadRecord,
    /// The time of the commit.
    clock: Timestamp,
    /// The time of posting: neither before that of the last entry nor in a closed period.
    posted_at: Timestamp,
    /// Entries that occurred before it are late.
    closed_until: Timestamp,
    /// Entries that are not written yet, and the approximate size of their texts.
    chunk: Vec<LedgerEntry>,
    chunk_bytes: usize,
    sums: LedgerSums,
    findings: FindingNotes,
    /// The accounts of customers that the entries move.
    credit: AccountChanges,
    budgets: BudgetChanges,
    /// The first entry of each uninterrupted range of entries of one run, and their number.
    ranges: Vec<(RunId, u64, u64)>,
    /// The stream that was looked up last, and whether it is on paper.
    stream: Option<(LedgerStream, bool)>,
    /// The unit that was looked up last.
    unit: String,
}

impl EntryAppender {
    /// Begins at the end of the chain.
    pub(crate) fn begin(commit: &WriteTx<'_, '_>, now: Timestamp) -> Result<Self> {
        let head: Option<HeadRecord> = commit.record(LEDGER_MARKS, keys::HEAD)?;
        if head.is_none() && !entries::is_converted(commit)? {
            return Err(StoreError::Io("the ledger of an earlier release was not converted; restart the host".into()));
        }
        let findings = FindingNotes::begin(commit)?;
        Ok(Self::after(head.unwrap_or_default(), now, periods::closed_until(commit)?, findings))
    }

    /// Begins at the end of the chain while the entries of an earlier release are converted.
    pub(crate) fn resume(commit: &WriteTx<'_, '_>) -> Result<Self> {
        let findings = FindingNotes::begin(commit)?;
        Ok(Self::after(entries::head(commit)?, Timestamp::default(), Timestamp::default(), findings))
    }

    fn after(head: HeadRecord, now: Timestamp, closed_until: Timestamp, findings: FindingNotes) -> Self {
        Self {
            head,
            clock: now,
            posted_at: now.max(head.head.posted_at).max(closed_until),
            closed_until,
            chunk: Vec::new(),
            chunk_bytes: 0,
            sums: LedgerSums::default(),
            findings,
            credit: AccountChanges::default(),
            budgets: BudgetChanges::default(),
            ranges: Vec::new(),
            stream: None,
            unit: String::new(),
        }
    }

    /// Appends an entry and returns its sequence number.
    pub(crate) fn add(&mut self, commit: &mut WriteTx<'_, '_>, new: &NewEntry) -> Result<u64> {
        let credit = CreditEntry::of_new(new);
        if let Some(credit) = credit.filter(|credit| !credit.returns_expired()) {
            self.return_expired(commit, &credit.account())?;
        }
        if let Some(exponent) = new.exponent {
            self.note_unit(commit, &new.currency, exponent)?;
        }
        self.check_paper(commit, new)?;
        let late = new.occurred_at < self.closed_until;
        let mut entry = LedgerEntry { sequence: self.next(), posted_at: self.posted_at, late, ..new.to_entry() };
        if let Some(credit) = credit {
            let own = |id: &str| self.chunk.iter().find(|entry| entry.id == id).map(|entry| entry.occurred_at);
            let reserved_at = question::reserved_at(commit, &credit, new, own)?;
            let terms = (entry.sequence, reserved_at, new.late_usage_millis);
            entry.parts = self.credit.apply(commit, &credit, terms, self.clock)?;
            if let Some(floor) = new.customer_floor.filter(|_| credit.may_pass_floor()) {
                let floor = FloorRecord { floor, paper: new.paper, sequence: entry.sequence };
                self.credit.note_floor(&credit.account(), floor);
            }
        }
        self.append(commit, entry)
    }

    /// Returns the amounts of an account's reservations whose time is over, each with an entry of
    /// its own, so that the next entry finds them available.
    fn return_expired(&mut self, commit: &mut WriteTx<'_, '_>, account: &[u8]) -> Result<()> {
        while let Some(held) = self.credit.due(commit, account, self.clock)? {
            let reserved = match self.chunk.iter().find(|entry| entry.sequence == held.sequence) {
                Some(entry) => entry.clone(),
                None => entries::EntryReader::new(commit).named(held.sequence)?,
            };
            let expiry = expiry::expiry_of(commit, &reserved)?;
            self.add(commit, &expiry)?;
        }
        Ok(())
    }

    /// The number of the next entry.
    pub(crate) const fn next(&self) -> u64 {
        self.head.head.sequence + 1
    }

    /// Appends an entry that has its sequence number, [`EntryAppender::next`], and all else except
    /// its hash.
    pub(crate) fn append(&mut self, commit: &mut WriteTx<'_, '_>, mut entry: LedgerEntry) -> Result<u64> {
        check_legs(&entry)?;
        if entry.id.is_empty() {
            entry.id = format!("{}{}", entries::HOST_ENTRY, entry.sequence);
        }
        entry.hash = entry.hash_after(&self.head.head.hash);
        let sequence = entry.sequence;
        self.head.head.sequence = sequence;
        self.head.head.hash = entry.hash;
        self.head.head.posted_at = entry.posted_at;
        let mut taken_by = None;
        if entry.call == EntryCall::Reserve {
            reservations::open(commit, &entry)?;
            self.head.open_reservations += 1;
        } else if entry.reservation.is_some() {
            let ReservationRecord { sequence, answered, .. } = reservations::close(commit, &entry, self.clock)?;
            self.findings.note_end(sequence, answered);
            taken_by = Some(sequence);
            self.head.open_reservations = self.head.open_reservations.saturating_sub(1);
        }
        for (table, key, value) in rows::of(&entry)? {
            commit.put(table, &key, &value);
        }
        let chunk = &self.chunk;
        self.budgets.add(commit, &entry, |store| taken_by_of(store, chunk, &entry, taken_by))?;
        self.sums.add_balances(&entry);
        self.sums.add_buckets(&entry);
        self.findings.note(&entry);
        self.note_run(&entry);
        self.chunk_bytes += text_bytes(&entry);
        self.chunk.push(entry);
        if self.chunk.len() >= entries::CHUNK_ENTRIES || self.chunk_bytes >= entries::CHUNK_BYTES {
            self.write_chunk(commit)?;
        }
        Ok(sequence)
    }

    /// Writes the sums and the new end of the chain, which it returns.
    pub(crate) fn finish(mut self, commit: &mut WriteTx<'_, '_>) -> Result<HeadRecord> {
        self.write_chunk(commit)?;
        let signs = self.sums.write(commit)?;
        let accounts = self.credit.write(commit)?;
        let now = self.clock.max(self.head.head.posted_at);
        self.budgets.write(commit, now)?;
        for (run, first, count) in self.ranges {
            commit.put_record(LEDGER_RUNS, &keys::of_run(run, first), &count)?;
        }
        commit.put_record(LEDGER_MARKS, keys::HEAD, &self.head)?;
        // An earlier release's entries are converted without a clock.
        self.findings.finish(commit, now, signs, accounts)?;
        Ok(self.head)
    }

    fn write_chunk(&mut self, commit: &mut WriteTx<'_, '_>) -> Result<()> {
        if let Some(first) = self.chunk.first() {
            commit.put(LEDGER_ENTRIES, &keys::sequence(first.sequence), &encode(&self.chunk)?);
        }
        self.chunk.clear();
        self.chunk_bytes = 0;
        Ok(())
    }

    fn note_run(&mut self, entry: &LedgerEntry) {
        let Some(run) = entry.run else { return };
        match self.ranges.last_mut() {
            Some((last, first, count)) if *last == run && *first + *count == entry.sequence => *count += 1,
            _ => self.ranges.push((run, entry.sequence, 1)),
        }
    }

    /// Refuses an entry on paper of a stream that is not, and the reverse. The first entry of a
    /// stream decides.
    fn check_paper(&mut self, commit: &WriteTx<'_, '_>, new: &NewEntry) -> Result<()> {
        let known = self.stream.as_ref().filter(|(stream, _)| *stream == new.stream).map(|(_, paper)| *paper);
        let paper = match known {
            Some(paper) => paper,
            None => {
                let stored = totals::is_on_paper(commit, &new.stream)?;
                let paper = stored.unwrap_or_else(|| self.sums.is_on_paper(&new.stream).unwrap_or(new.paper));
                self.stream = Some((new.stream.clone(), paper));
                paper
            }
        };
        if paper == new.paper {
            return Ok(());
        }
        let (is, not) = if paper { ("on paper", "`") } else { ("not on paper", "`, which is on paper") };
        let detail = format!("stream `{}` is {is}; entry `{}{not} does not belong to it", new.stream, new.external_id);
        Err(StoreError::EffectImpossible { code: Code::PaperChanged, detail })
    }

    /// Stores the number of decimal places of a unit with its first entry.
    pub(crate) fn note_unit(&mut self, commit: &mut WriteTx<'_, '_>, code: &str, exponent: u8) -> Result<()> {
        if self.unit == code {
            return Ok(());
        }
        units::note(commit, code, exponent)?;
        code.clone_into(&mut self.unit);
        Ok(())
    }
}

/// Returns what took the amount of an entry: the entry, or the reservation with the number
/// `reserved`, which may be in the chunk that is not written yet.
fn taken_by_of<R: ReadTx>(
    store: &R,
    chunk: &[LedgerEntry],
    entry: &LedgerEntry,
    reserved: Option<u64>,
) -> Result<TakenBy> {
    let Some(sequence) = reserved else {
        return Ok(TakenBy { sequence: entry.sequence, occurred_at: entry.occurred_at });
    };
    let occurred_at = match chunk.iter().find(|entry| entry.sequence == sequence) {
        Some(reserved) => reserved.occurred_at,
        None => entries::EntryReader::new(store).named(sequence)?.occurred_at,
    };
    Ok(TakenBy { sequence, occurred_at })
}

/// Refuses an entry whose legs do not balance.
fn check_legs(entry: &LedgerEntry) -> Result<()> {
    let sum = |legs: &[LedgerLeg]| legs.iter().map(|leg| i128::from(leg.minor_units)).sum::<i128>();
    if sum(&entry.legs) != 0 || sum(&entry.pending) != 0 {
        return Err(entries::refused(&entry.id, "does not balance"));
    }
    Ok(())
}

/// Approximate size of an entry's record, in bytes.
fn text_bytes(entry: &LedgerEntry) -> usize {
    const FIXED: usize = 160;
    const PART: usize = 40;
    let texts = [&entry.id, &entry.external_id, &entry.description, &entry.metadata];
    let lists = 32 * entry.evidence.responses.len() + PART * entry.parts.len();
    FIXED + texts.iter().map(|text| text.len()).sum::<usize>() + lists
}
