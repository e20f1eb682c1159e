//! The check of the ledger: reads every entry once, in order, and compares the chain and everything
//! that was derived from the entries.
//!
//! Balances and totals are few and are recounted in memory. Buckets and rows can be as many as the
//! entries, so each table is compared by a sum over hashes of its records ([`Sketch`]), which needs
//! no memory. Only if a sum differs, the wrong records are looked for, which takes longer.

use std::collections::BTreeMap;

use crate::embedded::codec::decode;
use crate::embedded::ledger::credit::recount::CreditRecount;
use crate::embedded::ledger::entries::{self, EntryReader};
use crate::embedded::ledger::record::{AccountRecord, ReservationRecord, StreamRecord};
use crate::embedded::ledger::sketch::Sketch;
use crate::embedded::ledger::sums::{LedgerSums, bucket_keys, bucket_of};
use crate::embedded::ledger::{customers, keys, reservations, rows};
use crate::embedded::tables::{
    LEDGER_ACCOUNTS, LEDGER_BUCKETS, LEDGER_CUSTOMERS, LEDGER_IDS, LEDGER_LATE, LEDGER_OF, LEDGER_OUTGOING,
    LEDGER_RESERVATIONS, LEDGER_RUNS, LEDGER_STREAMS, LEDGER_TIMES,
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
    Ok(check.result)
}

#[derive(Default)]
struct Check {
    result: LedgerCheck,
    sums: LedgerSums,
    rows: [Sketch; 4],
    customers: Sketch,
    credit: CreditRecount,
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
        Ok(())
    }

    fn compare_credit(&mut self, store: &impl ReadTx) -> Result<()> {
        std::mem::take(&mut self.credit).compare(store, &mut |problem| self.problem(problem))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedStore;
    use crate::embedded::codec::encode;
    use crate::embedded::fixture::new_entry;
    use crate::embedded::ledger::record::HeadRecord;
    use crate::embedded::tables::{
        CREDIT_ACCOUNTS, CREDIT_ENDS, CREDIT_ENTRIES, CREDIT_GRANTS, CREDIT_ORDERS, CREDIT_USES, LEDGER_ENTRIES,
        LEDGER_MARKS,
    };
    use crate::records::NewEntry;
    use crate::traits::{LedgerStore as _, NodeStore as _};
    use tidemill_core::Timestamp;
    use tidemill_core::money::{EntryKind, Leg};

    /// A ledger with 40 entries of two streams, and a settled and an open reservation.
    async fn ledger() -> (EmbeddedStore, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        store.begin_epoch(&"node-1".parse().unwrap()).await.unwrap();
        let sale = |number: u64| NewEntry {
            stream: ["shop", "bar/one"][usize::try_from(number % 2).unwrap()].parse().unwrap(),
            external_id: format!("sale-{number}"),
            of: number.is_multiple_of(3).then(|| "order-1".to_owned()),
            occurred_at: Timestamp::from_millis(number * 10_000_000),
            ..new_entry()
        };
        let hold = |id: &str, end: Option<Timestamp>| {
            let made = new_entry();
            NewEntry {
                id: id.to_owned(),
                external_id: id.to_owned(),
                call: EntryCall::Reserve,
                net_revenue: 0,
                pending: made.legs.clone(),
                legs: vec![],
                expires_at: end,
                ..made
            }
        };
        let mut entries: Vec<NewEntry> = (0..40).map(sale).collect();
        entries.extend([hold("open", None), hold("over", Some(Timestamp::from_millis(5)))]);
        entries.extend(credit(hold("held", Some(Timestamp::from_millis(900)))));
        store.append_entries(entries, Timestamp::from_millis(1)).await.unwrap();
        assert_eq!(store.expire_reservations(Timestamp::from_millis(9), 5).await.unwrap().done, 1);
        (store, dir)
    }

    /// Entries that leave each kind of row of a customer's account, and a reserved refund.
    fn credit(hold: NewEntry) -> Vec<NewEntry> {
        let moved = |entry: NewEntry, kind: EntryKind, minor_units: i64| {
            let leg = |leg: Leg| LedgerLeg { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units };
            let legs: Vec<_> = kind.legs(minor_units).unwrap().into_iter().map(leg).collect();
            let reserves = entry.call == EntryCall::Reserve;
            NewEntry {
                kind: kind.as_str().to_owned(),
                minor_units,
                net_revenue: 0,
                customer: Some("c".to_owned()),
                legs: if reserves { vec![] } else { legs.clone() },
                pending: if reserves { legs } else { vec![] },
                ..entry
            }
        };
        let named = |id: &str| NewEntry { external_id: id.to_owned(), ..new_entry() };
        let refund = NewEntry { id: "refund".to_owned(), external_id: "refund".to_owned(), ..hold.clone() };
        let gift = NewEntry {
            metadata: "{\"grant\":{\"expires_at\":1800000000000}}".to_owned(),
            ..moved(named("gift"), EntryKind::Promotion, 50)
        };
        let other = NewEntry { external_id: "other".to_owned(), customer: Some("d".to_owned()), ..gift.clone() };
        vec![
            moved(named("paid"), EntryKind::Prepayment, 100),
            gift,
            moved(hold, EntryKind::Drawdown, 30),
            moved(named("used"), EntryKind::Drawdown, 160),
            other,
            NewEntry { expires_at: None, ..moved(refund, EntryKind::Refund, 7) },
        ]
    }

    /// Puts a value as no release does, and returns what the check finds; an error counts.
    async fn tampered(store: &EmbeddedStore, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) -> Vec<String> {
        let before = store.latest().bytes(table, &key).unwrap();
        let at = key.clone();
        let change = move |c: &mut crate::embedded::tx::WriteTx<'_, '_>| {
            match &value {
                Some(value) => c.put(table, &at, value),
                None => c.delete(table, &at),
            }
            Ok(())
        };
        store.commit(change).await.unwrap();
        let found = check(&store.snapshot()).map_or_else(|error| vec![error.to_string()], |check| check.problems);
        let back = before.map(|value| value.to_vec());
        let restore = move |c: &mut crate::embedded::tx::WriteTx<'_, '_>| {
            match &back {
                Some(value) => c.put(table, &key, value),
                None => c.delete(table, &key),
            }
            Ok(())
        };
        store.commit(restore).await.unwrap();
        assert_eq!(check(&store.snapshot()).unwrap().problems, Vec::<String>::new());
        found
    }

    #[tokio::test]
    async fn no_byte_of_an_entry_can_change() {
        let (store, _dir) = ledger().await;
        let rows = store.latest().scan_prefix(LEDGER_ENTRIES, &[], 9).unwrap();
        assert!(rows.len() > 1, "the entries are in several records");
        let (key, value) = &rows[1];
        let before: Vec<LedgerEntry> = decode(LEDGER_ENTRIES, &rows[0].1).unwrap();
        let known: Vec<LedgerEntry> = decode(LEDGER_ENTRIES, value).unwrap();
        // Whether the entries of the record follow from each other and end in the known hash.
        let is_chain = |entries: &[LedgerEntry]| {
            let mut hash = before.last().unwrap().hash;
            entries.len() == known.len()
                && entries.iter().all(|entry| entry.hash == entry.hash_after(&std::mem::replace(&mut hash, entry.hash)))
                && hash == known.last().unwrap().hash
        };
        assert!(is_chain(&known));
        for place in 1..value.len() {
            let mut changed = value.to_vec();
            changed[place] ^= 1 << (place % 8);
            let Ok(changed) = decode::<Vec<LedgerEntry>>(LEDGER_ENTRIES, &changed) else { continue };
            // The content of an entry follows from its other fields, so the hash does not cover it.
            let mut same = changed.clone();
            same.iter_mut().zip(&known).for_each(|(entry, known)| entry.content = known.content);
            assert!(same == known || !is_chain(&changed), "byte {place} is not protected");
        }
        let found = tampered(&store, LEDGER_ENTRIES, key.to_vec(), None).await;
        assert!(found[0].starts_with("entry 17 is missing"), "{found:?}");
    }

    #[tokio::test]
    async fn the_first_wrong_entry_is_named() {
        let (store, _dir) = ledger().await;
        let rows = store.latest().scan_prefix(LEDGER_ENTRIES, &[], 9).unwrap();
        let (key, value) = rows[1].clone();
        let mut entries: Vec<LedgerEntry> = decode(LEDGER_ENTRIES, &value).unwrap();
        entries[3].description.push('x');
        let bytes = encode(&entries).unwrap();
        store
            .commit(move |c| {
                c.put(LEDGER_ENTRIES, &key, &bytes);
                Ok(())
            })
            .await
            .unwrap();
        let found = check(&store.snapshot()).unwrap();
        assert_eq!(found.first_wrong, Some(20));
        assert!(found.problems[0].starts_with("the hash of entry 20"), "{:?}", found.problems);
    }

    #[tokio::test]
    async fn every_derived_record_is_compared() {
        let (store, _dir) = ledger().await;
        let tables = [
            LEDGER_IDS,
            LEDGER_TIMES,
            LEDGER_OF,
            LEDGER_ACCOUNTS,
            LEDGER_STREAMS,
            LEDGER_BUCKETS,
            LEDGER_RESERVATIONS,
            LEDGER_OUTGOING,
            CREDIT_ACCOUNTS,
            CREDIT_GRANTS,
            CREDIT_USES,
            CREDIT_ORDERS,
            CREDIT_ENTRIES,
            CREDIT_ENDS,
        ];
        for table in tables {
            let rows = store.latest().scan_prefix(table, &[], usize::MAX).unwrap();
            assert!(!rows.is_empty(), "{}", table.name);
            for (key, value) in rows.iter().step_by(rows.len().div_ceil(12)) {
                // The order of expiry is not compared, because a lost row only delays a timer.
                if table.id == LEDGER_RESERVATIONS.id && key[0] == keys::ENDS {
                    continue;
                }
                let found = tampered(&store, table, key.to_vec(), None).await;
                assert!(!found.is_empty(), "a record of {} can be lost", table.name);
                let mut changed = value.to_vec();
                let Some(last) = changed.last_mut() else { continue };
                *last ^= 4;
                if table.id != LEDGER_RESERVATIONS.id || key[0] == 0 {
                    let found = tampered(&store, table, key.to_vec(), Some(changed)).await;
                    assert!(!found.is_empty(), "a record of {} can change: {}", table.name, key.escape_ascii());
                }
            }
        }
        let mut head: HeadRecord = store.latest().record(LEDGER_MARKS, keys::HEAD).unwrap().unwrap();
        head.head.hash[0] ^= 1;
        let found = tampered(&store, LEDGER_MARKS, keys::HEAD.to_vec(), Some(encode(&head).unwrap())).await;
        assert!(found[0].starts_with("the head is entry 49"), "{found:?}");
    }
}
