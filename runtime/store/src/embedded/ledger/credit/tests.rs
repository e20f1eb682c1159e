//! Reads of accounts cost what they should: no question applies an entry again, and no read of the
//! past reads all entries of its account.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::money::{EntryCall, EntryKind};

use super::question::{BalanceDecider, balance_after, decide_after};
use super::{keys, past};
use crate::embedded::EmbeddedStore;
use crate::embedded::fixture::{customer_account, customer_entry, new_entry};
use crate::embedded::ledger::check;
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_CHECKPOINTS};
use crate::embedded::tx::{Key, ReadTx, Table, Value, WriteTx};
use crate::error::Result;
use crate::records::{
    AsOf, BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, FloorAccount, NewEntry, OwnEntries,
    PageRequest,
};
use crate::traits::{BalanceStore as _, LedgerStore as _};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_001);

/// Counts the reads of a store.
struct CountedReads<'r, R> {
    store: &'r R,
    reads: Cell<usize>,
}

impl<R: ReadTx> ReadTx for CountedReads<'_, R> {
    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Value>> {
        self.reads.set(self.reads.get() + 1);
        self.store.bytes(table, key)
    }

    fn range(&self, table: Table, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Vec<(Key, Value)>> {
        let found = self.store.range(table, range, backwards, limit)?;
        self.reads.set(self.reads.get() + 1 + found.len());
        Ok(found)
    }
}

fn entry(id: &str, kind: EntryKind, cents: i64) -> NewEntry {
    customer_entry(id, kind, cents, NOW)
}

fn question(id: &str, account: FloorAccount, floor: i64) -> BalanceQuestion {
    BalanceQuestion {
        stream: new_entry().stream,
        account,
        currency: "EUR".to_owned(),
        kind: EntryKind::Drawdown.as_str().to_owned(),
        external_id: id.to_owned(),
        of: None,
        minor_units: 1,
        occurred_at: NOW,
        partial: false,
        floor,
    }
}

async fn with_grants(count: usize) -> (EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
    let grants = (0..count).map(|n| entry(&format!("g{n}"), EntryKind::Promotion, 1)).collect();
    store.append_entries(grants, NOW).await.unwrap();
    (store, folder)
}

/// An entry that holds or takes a cent. Half of them are reservations that expire.
fn usage(n: usize) -> NewEntry {
    let drawn = NewEntry { call: EntryCall::Draw, ..entry(&format!("d{n}"), EntryKind::Drawdown, 1) };
    if n.is_multiple_of(2) {
        return drawn;
    }
    let (pending, expires_at) = (drawn.legs.clone(), Some(NOW.plus_millis(10_000 + n as u64)));
    NewEntry { id: format!("h{n}"), call: EntryCall::Reserve, legs: vec![], pending, expires_at, ..drawn }
}

/// The number of reads for that many draws of one transaction, each of another grant: for the
/// questions of the run, for a balance, and for the decisions of the commit.
async fn reads_of(draws: usize) -> [usize; 3] {
    let (store, _folder) = with_grants(draws).await;
    let store = store.snapshot();
    let counted = CountedReads { store: &store, reads: Cell::new(0) };
    let customer = FloorAccount::Customer("c".to_owned());
    let own: Vec<_> = (0..draws).map(usage).collect();
    let count = |act: &mut dyn FnMut(usize, &mut OwnEntries)| {
        let mut before = OwnEntries::default();
        for (n, entry) in own.iter().enumerate() {
            act(n, &mut before);
            before.push(Arc::new(entry.clone()));
        }
        counted.reads.replace(0)
    };
    let asked = count(&mut |n, before| {
        let question = question(&format!("d{n}"), customer.clone(), 0);
        let answer = decide_after(&counted, &question, before, NOW).unwrap();
        assert_eq!(answer, BalanceDecision::Covered(1));
    });
    let mut all: OwnEntries = own.iter().cloned().collect();
    let balance = balance_after(&counted, &customer_account(), &mut all, NOW).unwrap();
    assert_eq!((balance.available, balance.held), (0, draws as i128 / 2));
    let balances = counted.reads.replace(0);
    let mut decider = BalanceDecider::new(&counted, &own, NOW);
    for after in 0..draws {
        for (account, floor) in [(customer.clone(), 0), (FloorAccount::Stream("receivable".to_owned()), -1)] {
            let check = BalanceCheck { after, question: question("d", account, floor), covered: Some(1) };
            assert_eq!(decider.changed(&check).unwrap(), None);
        }
    }
    [asked, balances, counted.reads.get()]
}

#[tokio::test]
async fn draws_of_one_transaction_cost_as_much_as_they_are_many() {
    let (few, many) = (reads_of(100).await, reads_of(400).await);
    for (few, many) in few.into_iter().zip(many) {
        assert!(few > 0 && many <= few * 5, "{few} reads for 100 draws, {many} for 400");
    }
}

/// An account with that many entries after its grants, in commits of different sizes.
async fn long_account(entries: usize) -> (EmbeddedStore, tempfile::TempDir) {
    let (store, folder) = with_grants(3).await;
    let mut next = 0;
    for size in [1, 7, 100].into_iter().cycle() {
        let end = (next + size).min(entries);
        let usage = |n| NewEntry { call: EntryCall::Post, ..entry(&format!("d{n}"), EntryKind::Drawdown, 1) };
        store.append_entries((next..end).map(usage).collect(), NOW).await.unwrap();
        next = end;
        if next == entries {
            return (store, folder);
        }
    }
    unreachable!("the cycle never ends")
}

#[tokio::test]
async fn a_past_balance_reads_few_entries_of_an_account_of_any_length() {
    let mut most = Vec::new();
    for length in [200, 1_000] {
        let (store, _folder) = long_account(length).await;
        let snapshot = store.snapshot();
        let mut reads = 0;
        for sequence in (1..=length as u64).step_by(37) {
            let counted = CountedReads { store: &snapshot, reads: Cell::new(0) };
            let rows = past::rows_through(&counted, 1, sequence).unwrap();
            let debt = i128::from(sequence.saturating_sub(6));
            assert_eq!(rows.changed_sums().unwrap().debt, debt, "as of {sequence}");
            reads = reads.max(counted.reads.get());
        }
        most.push(reads);
    }
    assert!(most.iter().all(|reads| *reads < 100), "{most:?}");
}

#[tokio::test]
async fn checkpoints_that_differ_from_the_entries_are_found() {
    let (store, _folder) = long_account(100).await;
    let hold = NewEntry { id: "hold".to_owned(), ..usage(1_001) };
    store.append_entries(vec![NewEntry { expires_at: None, ..hold }], NOW).await.unwrap();
    let more = (200..240).map(|n| entry(&format!("d{n}"), EntryKind::Drawdown, 1)).collect();
    store.append_entries(more, NOW).await.unwrap();
    let checked =
        || check::check(&store.snapshot()).map_or_else(|error| vec![error.to_string()], |found| found.problems);
    assert_eq!(checked(), Vec::<String>::new());
    let put = async |key: Key, value: Vec<u8>| {
        let change = move |c: &mut WriteTx<'_, '_>| {
            c.put(CREDIT_CHECKPOINTS, &key, &value);
            Ok(())
        };
        store.commit(change).await.unwrap();
    };
    let rows = store.latest().scan_prefix(CREDIT_CHECKPOINTS, &[], 99).unwrap();
    assert!(rows.len() >= 4, "{}", rows.len());
    for (key, value) in rows {
        for place in 1..value.len() {
            let mut changed = value.to_vec();
            changed[place] ^= 1 << (place % 7);
            put(key.clone(), changed).await;
            assert!(!checked().is_empty(), "byte {place} of {} can change", key.escape_ascii());
        }
        put(key, value.to_vec()).await;
    }
    assert_eq!(checked(), Vec::<String>::new());
}

#[tokio::test]
async fn accounts_are_listed_as_of_each_entry() {
    let (store, _folder) = long_account(150).await;
    let filter = BalanceFilter { stream: None, customer: Some("c".to_owned()) };
    for sequence in [1, 3, 31, 32, 33, 64, 65, 150] {
        let page = store.balances(&filter, PageRequest::first(5), Some(AsOf::Sequence(sequence)), NOW).await.unwrap();
        let [shown] = &page.items[..] else { panic!("one account") };
        let (granted, used) = (sequence.min(3), sequence.saturating_sub(3));
        assert_eq!(shown.balance.available, i128::from(granted) - i128::from(used), "as of {sequence}");
    }
    let key = keys::account(&customer_account().stream, "EUR", "c");
    assert!(store.latest().bytes(CREDIT_ACCOUNTS, &key).unwrap().is_some());
}
