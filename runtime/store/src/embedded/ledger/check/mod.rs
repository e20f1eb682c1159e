//! The check of the ledger: reads every entry once, in order, and compares the chain and everything
//! that was derived from the entries.
//!
//! Balances and totals are few and are recounted in memory. Buckets and rows can be as many as the
//! entries, so each table is compared by a sum over hashes of its records ([`Sketch`]), which needs
//! no memory. Only if a sum differs, the wrong records are looked for, which takes longer.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::embedded::budgets::recount::BudgetRecount;
use crate::embedded::codec::decode;
use crate::embedded::ledger::credit::recount::CreditRecount;
use crate::embedded::ledger::customers::PostedDifference;
use crate::embedded::ledger::entries::{self, EntryReader};
use crate::embedded::ledger::findings::book;
use crate::embedded::ledger::record::{AccountRecord, ReservationRecord, StreamRecord};
use crate::embedded::ledger::sketch::Sketch;
use crate::embedded::ledger::sums::{LedgerSums, bucket_keys, bucket_of};
use crate::embedded::ledger::{customers, keys, reservations, rows};
use crate::embedded::tables::{
    LEDGER_ACCOUNTS, LEDGER_BUCKETS, LEDGER_CUSTOMERS, LEDGER_CUSTOMERS_POSTED, LEDGER_IDS, LEDGER_LATE, LEDGER_OF,
    LEDGER_OUTGOING, LEDGER_RESERVATIONS, LEDGER_RUNS, LEDGER_STREAMS, LEDGER_TIMES,
};
use crate::embedded::tx::{ReadTx, Table, prefix_range};
use crate::error::Result;
use crate::records::{Bucket, CustomerSum, LedgerCheck, LedgerEntry, LedgerHead, LedgerLeg};
use tidemill_core::RunId;
use tidemill_core::money::EntryCall;

/// Maximum number of differences that a check reports.
const PROBLEMS: usize = 100;
/// Maximum number of buckets that are recounted at once.
const BUCKETS_AT_ONCE: u64 = 20_000;

/// The tables of [`rows::of`].
const ROWS: [Table; 4] = [LEDGER_IDS, LEDGER_TIMES, LEDGER_OF, LEDGER_LATE];

/// Checks the whole ledger.
pub(crate) fn check(store: &impl ReadTx) -> Result<LedgerCheck> {
    let mut check = Check::default();
    check.read_entries(store)?;
    check.compare_head(store)?;
    check.compare_balances(store)?;
    check.compare_rows(store)?;
    check.compare_runs(store)?;
    check.compare_reservations(store)?;
    check.compare_buckets(store)?;
    check.compare_customers(store)?;
    check.compare_credit(store)?;
    check.compare_budgets(store)?;
    check.count_findings(store)?;
    Ok(check.result)
}

#[derive(Default)]
struct Check {
    result: LedgerCheck,
    sums: LedgerSums,
    rows: [Sketch; 4],
    customers: Sketch,
    customers_posted: Sketch,
    credit: CreditRecount,
    budgets: BudgetRecount,
    runs: Sketch,
    reservations: Sketch,
    open: i128,
    buckets: Sketch,
}

impl Check {
    fn problem(&mut self, problem: String) {
        if self.result.problems.len() < PROBLEMS {
            self.result.problems.push(problem);
        }
    }

    fn wrong_entry(&mut self, sequence: u64, problem: String) {
        self.result.first_wrong.get_or_insert(sequence);
        self.problem(problem);
    }

    fn read_entries(&mut self, store: &impl ReadTx) -> Result<()> {
        entries::each_while(store, 0..u64::MAX, |entry| {
            self.check_entry(&entry);
            self.count(&entry)?;
            self.credit.count(store, &entry)?;
            self.budgets.count(store, &entry)?;
            let LedgerEntry { sequence, hash, posted_at, .. } = entry;
            self.result.head = LedgerHead { sequence, hash, posted_at };
            self.result.entries += 1;
            Ok(true)
        })
    }

    /// Checks an entry against the previous one.
    fn check_entry(&mut self, entry: &LedgerEntry) {
        let (last, sequence) = (self.result.head, entry.sequence);
        if sequence != last.sequence + 1 {
            let expected = last.sequence + 1;
            self.wrong_entry(expected, format!("entry {expected} is missing; entry {sequence} follows"));
        }
        if entry.hash != entry.hash_after(&last.hash) {
            self.wrong_entry(sequence, format!("the hash of entry {sequence} ({}) does not match", entry.id));
        }
        if entry.posted_at < last.posted_at {
            self.wrong_entry(sequence, format!("entry {sequence} was posted before entry {}", last.sequence));
        }
        for (legs, which) in [(&entry.legs, "posted"), (&entry.pending, "pending")] {
            let sum: i128 = legs.iter().map(|leg: &LedgerLeg| i128::from(leg.minor_units)).sum();
            if sum != 0 {
                let id = &entry.id;
                self.wrong_entry(sequence, format!("the {which} legs of entry {sequence} ({id}) sum to {sum}, not 0"));
            }
        }
    }

    /// Adds what follows from an entry.
    fn count(&mut self, entry: &LedgerEntry) -> Result<()> {
        self.sums.add_balances(entry);
        for (table, key, value) in rows::of(entry)? {
            if let Some(place) = ROWS.iter().position(|of| of.id == table.id) {
                self.rows[place].add_row(&key, &value);
            }
        }
        if let Some(run) = entry.run {
            add_run(&mut self.runs, run, 1, entry.sequence.into());
        }
        if entry.call == EntryCall::Reserve {
            self.open += 1;
            add_reservation(&mut self.reservations, &entry.id, entry.sequence, entry.minor_units, 0);
        } else if let Some(id) = &entry.reservation {
            self.open -= 1;
            add_reservation(&mut self.reservations, id, 0, 0, entry.sequence);
        }
        let added = bucket_of(entry);
        bucket_keys(entry).for_each(|key| add_bucket(&mut self.buckets, &key, &added));
        if let Some((key, added)) = customers::record_of(entry) {
            add_customer(&mut self.customers, &key, &added);
        }
        for (key, added) in customers::differences_of(entry) {
            self.customers_posted.add(&key, [added.entries.into(), added.net_revenue]);
        }
        Ok(())
    }

    fn compare_head(&mut self, store: &impl ReadTx) -> Result<()> {
        let stored = entries::head(store)?;
        if stored.head != self.result.head {
            let (stored, read) = (stored.head.sequence, self.result.head.sequence);
            self.wrong_entry(stored.min(read) + 1, format!("the head is entry {stored}, but the last entry is {read}"));
        }
        let rows = reservations::count_open(store)?;
        if i128::from(rows) != self.open || rows != stored.open_reservations {
            let (open, counted) = (self.open, stored.open_reservations);
            self.problem(format!("{open} reservations are open, but {rows} are listed and {counted} counted"));
        }
        Ok(())
    }

    fn compare_balances(&mut self, store: &impl ReadTx) -> Result<()> {
        let mut accounts = std::mem::take(&mut self.sums.accounts);
        store.each(LEDGER_ACCOUNTS, prefix_range(&[]), |key, bytes| {
            self.result.totals += 1;
            let stored: AccountRecord = decode(LEDGER_ACCOUNTS, bytes)?;
            let counted = accounts.remove(key).unwrap_or_default();
            for (what, stored, counted) in
                [("balance", stored.posted, counted.posted), ("pending balance", stored.pending, counted.pending)]
            {
                if stored != counted {
                    let of = shown(key);
                    self.problem(format!("the {what} of {of} is {stored}, but its entries sum to {counted}"));
                }
            }
            Ok(())
        })?;
        for (key, counted) in accounts {
            if counted != AccountRecord::default() {
                self.problem(format!("account {} has no balance", shown(&key)));
            }
        }
        let mut outgoing = std::mem::take(&mut self.sums.outgoing);
        store.each(LEDGER_OUTGOING, prefix_range(&[]), |key, bytes| {
            let (stored, counted): (i128, _) =
                (decode(LEDGER_OUTGOING, bytes)?, outgoing.remove(key).unwrap_or_default());
            if stored != counted {
                let of = shown(key);
                self.problem(format!("reservations take {stored} from {of}, but their entries sum to {counted}"));
            }
            Ok(())
        })?;
        for (key, counted) in outgoing.into_iter().filter(|(_, counted)| *counted != 0) {
            self.problem(format!("reservations take {counted} from {}, which has no record of it", shown(&key)));
        }
        let mut streams = std::mem::take(&mut self.sums.streams);
        store.each(LEDGER_STREAMS, prefix_range(&[]), |key, bytes| {
            self.result.totals += 1;
            let stored: StreamRecord = decode(LEDGER_STREAMS, bytes)?;
            let counted = streams.remove(key).unwrap_or_default();
            if stored != counted {
                self.problem(format!(
                    "stream {} has a total of {} in {} entries, but its entries sum to {} in {}",
                    shown(key),
                    stored.net_revenue,
                    stored.entries,
                    counted.net_revenue,
                    counted.entries
                ));
            }
            Ok(())
        })?;
        for key in streams.keys() {
            self.problem(format!("stream {} has no total", shown(key)));
        }
        Ok(())
    }

    fn compare_rows(&mut self, store: &impl ReadTx) -> Result<()> {
        for (place, table) in ROWS.into_iter().enumerate() {
            let mut stored = Sketch::default();
            store.each(table, prefix_range(&[]), |key, value| {
                stored.add_row(key, value);
                Ok(())
            })?;
            if stored != self.rows[place] {
                let before = self.result.problems.len();
                self.find_wrong_rows(store, table)?;
                if self.result.problems.len() == before {
                    self.problem(format!("table {} differs from the entries", table.name));
                }
            }
        }
        Ok(())
    }

    /// Looks for the rows of a table that differ from those of the entries.
    fn find_wrong_rows(&mut self, store: &impl ReadTx, table: Table) -> Result<()> {
        entries::each_while(store, 0..u64::MAX, |entry| {
            for (_, key, value) in rows::of(&entry)?.filter(|(of, ..)| of.id == table.id) {
                if store.bytes(table, &key)?.as_deref() != Some(&value[..]) {
                    let (sequence, id) = (entry.sequence, &entry.external_id);
                    let problem = format!("entry {sequence}, `{id}`, has no row or another one in {}", table.name);
                    self.wrong_entry(sequence, problem);
                }
            }
            Ok(self.result.problems.len() < PROBLEMS)
        })?;
        let mut reader = EntryReader::new(store);
        store.each_while(table, prefix_range(&[]), |key, value| {
            let sequence = if table.id == LEDGER_IDS.id { decode(table, value)? } else { keys::sequence_at_end(key)? };
            let expected = match reader.at(sequence)? {
                Some(entry) => rows::of(entry)?.any(|(of, expected, _)| of.id == table.id && expected == key),
                None => false,
            };
            if !expected {
                self.problem(format!("a row of {} names entry {sequence}, which is another one", table.name));
            }
            Ok(self.result.problems.len() < PROBLEMS)
        })
    }

    fn compare_runs(&mut self, store: &impl ReadTx) -> Result<()> {
        let mut stored = Sketch::default();
        store.each(LEDGER_RUNS, prefix_range(&[]), |key, bytes| {
            let count: u64 = decode(LEDGER_RUNS, bytes)?;
            let first = i128::from(keys::sequence_at_end(key)?);
            let run = key.first_chunk::<16>().map(|run| RunId::from_bytes(*run)).ok_or_else(keys::unreadable)?;
            let count = i128::from(count);
            // The sum of `count` numbers from `first` on.
            add_run(&mut stored, run, count, count * first + count * (count - 1) / 2);
            Ok(())
        })?;
        if stored != self.runs {
            self.problem("the ranges of the runs' entries differ from the entries".to_owned());
        }
        Ok(())
    }

    fn compare_reservations(&mut self, store: &impl ReadTx) -> Result<()> {
        let mut stored = Sketch::default();
        let each = |visit: &mut dyn FnMut(&str, ReservationRecord) -> Result<()>| {
            store.each(LEDGER_RESERVATIONS, prefix_range(&[0]), |key, bytes| {
                let Some((id, record)) = reservations::record_of(key, bytes)? else { return Ok(()) };
                visit(id, record)
            })
        };
        each(&mut |id, record| {
            add_reservation(&mut stored, id, record.sequence, record.minor_units, record.closed_by);
            Ok(())
        })?;
        if stored == self.reservations {
            return Ok(());
        }
        let before = self.result.problems.len();
        let mut reader = EntryReader::new(store);
        each(&mut |id, record| {
            let made = reader.at(record.sequence)?;
            let is_made = made.is_some_and(|entry| entry.id == id && entry.minor_units == record.minor_units);
            let closes = |entry: &LedgerEntry| entry.reservation.as_deref() == Some(id);
            let is_closed = record.closed_by == 0 || reader.at(record.closed_by)?.is_some_and(closes);
            if !is_made || !is_closed {
                self.problem(format!("the reservation of entry {} ({id}) differs from its entries", record.sequence));
            }
            Ok(())
        })?;
        if self.result.problems.len() == before {
            self.problem("the reservations differ from the entries".to_owned());
        }
        Ok(())
    }

    fn compare_customers(&mut self, store: &impl ReadTx) -> Result<()> {
        let mut stored = Sketch::default();
        store.each(LEDGER_CUSTOMERS, prefix_range(&[]), |key, bytes| {
            self.result.totals += 1;
            add_customer(&mut stored, key, &decode(LEDGER_CUSTOMERS, bytes)?);
            Ok(())
        })?;
        if stored != self.customers {
            self.problem("the sums of customers differ from the entries".to_owned());
        }
        let mut stored = Sketch::default();
        store.each(LEDGER_CUSTOMERS_POSTED, prefix_range(&[]), |key, bytes| {
            self.result.totals += 1;
            let PostedDifference { entries, net_revenue } = decode(LEDGER_CUSTOMERS_POSTED, bytes)?;
            stored.add(key, [entries.into(), net_revenue]);
            Ok(())
        })?;
        if stored != self.customers_posted {
            self.problem("the sums of customers by posting differ from the entries".to_owned());
        }
        Ok(())
    }

    fn compare_credit(&mut self, store: &impl ReadTx) -> Result<()> {
        std::mem::take(&mut self.credit).compare(store, &mut |problem| self.problem(problem))
    }

    fn compare_budgets(&mut self, store: &impl ReadTx) -> Result<()> {
        std::mem::take(&mut self.budgets).compare(store, &mut |problem| self.problem(problem))
    }

    /// Counts the open findings. They are no differences: the entries are as they were posted.
    fn count_findings(&mut self, store: &impl ReadTx) -> Result<()> {
        self.result.findings = book::count_open(store)?;
        let open: u64 = self.result.findings.iter().map(|count| count.open + count.on_paper).sum();
        let counted = book::marks(store)?.open;
        if open != counted {
            self.problem(format!("{open} findings are open, but {counted} are counted"));
        }
        Ok(())
    }

    fn compare_buckets(&mut self, store: &impl ReadTx) -> Result<()> {
        let (mut stored, mut count) = (Sketch::default(), 0);
        store.each(LEDGER_BUCKETS, prefix_range(&[]), |key, bytes| {
            add_bucket(&mut stored, key, &decode(LEDGER_BUCKETS, bytes)?);
            count += 1;
            Ok(())
        })?;
        self.result.totals += count;
        if stored != self.buckets {
            let before = self.result.problems.len();
            for part in 0..=count / BUCKETS_AT_ONCE {
                self.find_wrong_buckets(store, part, count / BUCKETS_AT_ONCE + 1)?;
            }
            if self.result.problems.len() == before {
                self.problem("the buckets differ from the entries".to_owned());
            }
        }
        Ok(())
    }

    /// Recounts the buckets of one of several parts.
    fn find_wrong_buckets(&mut self, store: &impl ReadTx, part: u64, parts: u64) -> Result<()> {
        let in_part = |key: &[u8]| Sketch::part_of(key, parts) == part;
        let mut counted: BTreeMap<Vec<u8>, Bucket> = BTreeMap::new();
        entries::each_while(store, 0..u64::MAX, |entry| {
            let added = bucket_of(&entry);
            for key in bucket_keys(&entry).filter(|key| in_part(key)) {
                counted.entry(key).or_default().add(&added);
            }
            Ok(true)
        })?;
        store.each(LEDGER_BUCKETS, prefix_range(&[]), |key, bytes| {
            if in_part(key) {
                let stored: Bucket = decode(LEDGER_BUCKETS, bytes)?;
                let counted = counted.remove(key).unwrap_or_default();
                if stored != counted {
                    let of = shown(key);
                    self.problem(format!("the bucket {of} has {stored:?}, but its entries sum to {counted:?}"));
                }
            }
            Ok(())
        })?;
        for key in counted.keys() {
            self.problem(format!("the bucket {} is missing", shown(key)));
        }
        Ok(())
    }
}

fn add_run(sketch: &mut Sketch, run: RunId, count: i128, sequences: i128) {
    sketch.add(&run.to_bytes(), [count, sequences]);
}

fn add_reservation(sketch: &mut Sketch, id: &str, sequence: u64, minor_units: i64, closed_by: u64) {
    sketch.add(id.as_bytes(), [sequence.into(), minor_units.into(), closed_by.into()]);
}

fn add_customer(sketch: &mut Sketch, key: &[u8], sum: &CustomerSum) {
    sketch.add(key, [sum.entries.into(), sum.net_revenue]);
}

fn add_bucket(sketch: &mut Sketch, key: &[u8], bucket: &Bucket) {
    let Bucket { posted, pending, net_revenue, entries, pending_entries } = *bucket;
    sketch.add(key, [posted, pending, net_revenue, entries.into(), pending_entries.into()]);
}

/// Formats the key of a balance, total or bucket.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string().replace("\\x00", " ")
}
