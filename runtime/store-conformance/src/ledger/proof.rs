//! Claims about the order and the chain of entries.

use std::sync::Arc;

use tidemill_store::Store;
use tidemill_store::records::{LedgerHead, NewEntry, RunCommitResult};

use super::{by_host, posting};
use crate::fixture::{NOON, claimed_run, deploy, done, later, owner, success};

pub(crate) async fn entries_are_numbered_and_chained_in_the_order_of_commits(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    assert_eq!(store.ledger_head().await, Ok(LedgerHead::default()));
    let mut refused = Vec::new();
    for batch in 0..4 {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.postings = (1..=25).map(|i| posting(&run, &format!("{batch}-{i}"), i)).collect();
        done(&store, commit).await;
        // A refused commit takes no number.
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.postings = vec![posting(&run, &format!("new-{batch}"), 1), posting(&run, &format!("{batch}-1"), 1)];
        refused.push(store.commit_run(commit).await);
    }
    assert!(refused.iter().all(|answer| matches!(answer, Ok(RunCommitResult::Conflict { .. }))), "{refused:?}");
    let mut hash = [0; 32];
    for sequence in 1..=100 {
        let entry = store.ledger_entry_at(sequence).await.expect("a read").expect("an entry");
        assert_eq!(entry.hash, entry.hash_after(&hash), "entry {sequence}");
        hash = entry.hash;
    }
    let head = store.ledger_head().await.expect("a head");
    assert_eq!((head.sequence, head.hash), (100, hash));
    let check = store.check_ledger().await.expect("a check");
    assert_eq!((check.entries, check.head, check.first_wrong, check.problems), (100, head, None, vec![]));
}

pub(crate) async fn the_time_of_posting_does_not_decrease(store: Arc<dyn Store>) {
    for (id, now, posted_at) in [("1", later(5), later(5)), ("2", NOON, later(5)), ("3", later(6), later(6))] {
        store.append_entries(vec![by_host("a", id, 1)], now).await.expect("appended");
        assert_eq!(store.ledger_head().await.expect("a head").posted_at, posted_at);
    }
    for (time, first) in [(NOON, 1), (later(5), 1), (later(6), 3), (later(7), 4)] {
        assert_eq!(store.first_posted_from(time).await, Ok(first));
    }
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn every_field_of_an_entry_is_in_its_hash(store: Arc<dyn Store>) {
    let entry = NewEntry { customer: Some("c".into()), of: Some("o".into()), ..by_host("a", "e", 5) };
    store.append_entries(vec![entry], NOON).await.expect("appended");
    let entry = store.ledger_entry_at(1).await.expect("a read").expect("an entry");
    let of = |change: fn(&mut tidemill_store::records::LedgerEntry)| {
        let mut changed = entry.clone();
        change(&mut changed);
        assert_ne!(changed, entry);
        changed.hash_after(&[0; 32])
    };
    let mut hashes = vec![
        entry.hash,
        entry.hash_after(&[1; 32]),
        of(|entry| entry.sequence += 1),
        of(|entry| entry.id.push('x')),
        of(|entry| entry.stream = super::stream("b")),
        of(|entry| entry.run = Some(tidemill_core::RunId::new(NOON, 1))),
        of(|entry| entry.external_id.push('x')),
        of(|entry| entry.call = tidemill_core::money::EntryCall::Correct),
        of(|entry| entry.kind.push('x')),
        of(|entry| entry.minor_units += 1),
        of(|entry| entry.currency = "USD".into()),
        of(|entry| entry.net_revenue += 1),
        of(|entry| entry.occurred_at = later(999)),
        of(|entry| entry.posted_at = later(999)),
        of(|entry| entry.customer = None),
        of(|entry| entry.description.push('x')),
        of(|entry| entry.metadata.push(' ')),
        of(|entry| entry.of = None),
        of(|entry| entry.legs[0].minor_units += 1),
        of(|entry| entry.legs[1].account.push('x')),
        of(|entry| entry.pending = entry.legs.clone()),
        of(|entry| entry.reservation = Some(String::new())),
        of(|entry| entry.expires_at = Some(NOON)),
        of(|entry| entry.evidence.component = Some(crate::fixture::digest())),
        of(|entry| entry.evidence.delivery = Some(String::new())),
        of(|entry| entry.evidence.responses.push([0; 32])),
        of(|entry| entry.late = true),
        of(|entry| entry.paper = true),
    ];
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}
