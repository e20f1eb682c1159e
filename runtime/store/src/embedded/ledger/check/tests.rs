//! The check finds every record that differs from the entries.

use super::*;
use crate::embedded::EmbeddedStore;
use crate::embedded::codec::encode;
use crate::embedded::fixture::{budget, new_entry, new_run};
use crate::embedded::ledger::record::HeadRecord;
use crate::embedded::tables::{
    BUDGET_COUNTERS, BUDGETS, CREDIT_ACCOUNTS, CREDIT_ENDS, CREDIT_ENTRIES, CREDIT_GRANTS, CREDIT_ORDERS, CREDIT_USES,
    DEPLOYMENTS, FUEL_RUNS, LEDGER_CUSTOMERS_POSTED, LEDGER_ENTRIES, LEDGER_MARKS,
};
use crate::records::{AdmissionLimits, AdmissionTerms, Budget, Deployment, NewEntry, NewRun};
use crate::traits::{AdmissionStore as _, LedgerStore as _, NodeStore as _, RunStore as _};
use tidemill_core::Timestamp;
use tidemill_core::budget::BudgetUnit;
use tidemill_core::ids::Owner;
use tidemill_core::money::{EntryKind, Leg};

/// A ledger with 40 sales of two streams, an expired and an open reservation, entries of customers,
/// and a sale that is posted in another month.
async fn ledger() -> (EmbeddedStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
    store.begin_epoch(&"node-1".parse().unwrap()).await.unwrap();
    store.commit(|c| c.put_record(BUDGETS, b"shop\0cap", &budget("shop", "cap"))).await.unwrap();
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
    entries.push(NewEntry { external_id: "another-month".to_owned(), ..new_entry() });
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
        LEDGER_CUSTOMERS,
        LEDGER_CUSTOMERS_POSTED,
        CREDIT_ACCOUNTS,
        CREDIT_GRANTS,
        CREDIT_USES,
        CREDIT_ORDERS,
        CREDIT_ENTRIES,
        CREDIT_ENDS,
        BUDGET_COUNTERS,
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
    assert!(found[0].starts_with("the head is entry 50"), "{found:?}");
}

#[tokio::test]
async fn what_runs_hold_of_a_budget_of_fuel_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
    let node = "node-1".parse().unwrap();
    let epoch = store.begin_epoch(&node).await.unwrap();
    let NewRun { deployment: name, component, revision, now, .. } = new_run();
    let deployment = Deployment {
        name: name.clone(),
        revision,
        component,
        manifest: "{}".into(),
        paused: None,
        created_at: now,
        updated_at: now,
    };
    let work = Budget { unit: BudgetUnit::Fuel, ..budget("a", "work") };
    let put = move |c: &mut crate::embedded::tx::WriteTx<'_, '_>| {
        c.put_record(DEPLOYMENTS, b"a", &deployment)?;
        c.put_record(BUDGETS, b"a\0work", &work)
    };
    store.commit(put).await.unwrap();
    let run = |number| NewRun {
        id: RunId::new(Timestamp::default(), number),
        terms: AdmissionTerms { customer: Some("c".to_owned()), ..AdmissionTerms::default() },
        ..new_run()
    };
    for number in 1..=3 {
        store.request_run(run(number)).await.unwrap();
    }
    let limits = AdmissionLimits { fuel: Some(40), ..AdmissionLimits::default() };
    let admitted = store.admit(&Owner { node, epoch }, &name, 2, limits, Timestamp::default()).await.unwrap();
    assert_eq!(admitted.claimed.len(), 2);
    for table in [BUDGET_COUNTERS, FUEL_RUNS] {
        let rows = store.latest().scan_prefix(table, &[], 9).unwrap();
        let found = tampered(&store, table, rows[0].0.to_vec(), None).await;
        assert_eq!(found, ["the counters of budget `work` of a differ from what its runs hold"], "{}", table.name);
    }
}
