//! Claims about entries, external ids and totals.

use std::sync::Arc;

use tidemill_core::money::Currencies;
use tidemill_core::{Code, RunId};
use tidemill_store::Store;
use tidemill_store::StoreError;
use tidemill_store::records::{AppendedEntry, LedgerUnit, NewEntry, PageRequest, RunCommitResult, UnitConflict};

use super::{by_host, posting, stream, with_content};
use crate::fixture::{NOON, claimed_run, deploy, done, later, name, owner, success};

pub(crate) async fn an_external_id_posts_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let owner = owner(&store).await;
    for (of, expect_done) in [("a", true), ("a", false), ("b", true)] {
        let run = claimed_run(&store, &owner, of).await;
        let mut commit = success(&owner, &run);
        commit.postings = vec![posting(&run, "e", 5)];
        let answer = store.commit_run(commit).await.expect("no error");
        assert_eq!(matches!(answer, RunCommitResult::Done(_)), expect_done, "{of}: {answer:?}");
    }
    let known = store.external_id(&stream("a"), "e").await.expect("a read");
    assert_eq!((known.sequence, known.version.0), (1, 1));
    let entry = store.ledger_entry(&known.posting.expect("an entry")).await.expect("a read").expect("the entry");
    assert_eq!((entry.sequence, entry.content, entry.external_id.as_str()), (1, known.content, "e"));
    assert_eq!(store.ledger_entry_of(&stream("a"), "e").await, Ok(Some(entry)));
    assert_eq!(store.external_id(&stream("a"), "f").await.expect("a read").posting, None);
    assert_eq!(store.stream_totals().await.expect("totals").iter().map(|t| t.net_revenue).sum::<i128>(), 10);
}

pub(crate) async fn totals_are_the_sum_of_the_entries(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    for batch in 0..3 {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.postings = (1..=10).map(|i| posting(&run, &format!("{batch}-{i}"), i)).collect();
        done(&store, commit).await;
    }
    let totals = store.stream_totals().await.expect("totals");
    assert_eq!(totals.len(), 1);
    assert_eq!((totals[0].net_revenue, totals[0].entries), (165, 30));
    let accounts = store.account_totals(Some(&stream("a")), NOON).await.expect("totals");
    assert_eq!(accounts.iter().map(|account| account.minor_units).sum::<i128>(), 0);
    assert_eq!(accounts.len(), 2);
    let check = store.check_ledger().await.expect("a check");
    assert_eq!((check.entries, check.problems), (30, vec![]));
    for stream in [None, Some(&stream("a"))] {
        let mut page = PageRequest::first(7);
        let mut found = Vec::new();
        loop {
            let part = store.ledger_entries(stream, page.clone()).await.expect("a page");
            found.extend(part.items.into_iter().map(|entry| entry.id));
            let Some(next) = part.next else { break };
            page.cursor = Some(next);
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 30);
    }
}

pub(crate) async fn revenue_counts_a_half_open_range(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.postings = (1..=10).map(|i| posting(&run, &i.to_string(), i)).collect();
    done(&store, commit).await;
    let totals = store.revenue(&stream("a"), later(3), later(6)).await.expect("a sum");
    assert_eq!((totals[0].net_revenue, totals[0].entries), (3 + 4 + 5, 3));
    assert_eq!(store.revenue(&stream("a"), later(11), later(99)).await, Ok(vec![]));
}

/// The stream's name is all that an external id needs.
pub(crate) async fn an_external_id_outlives_its_deployment(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.postings = vec![posting(&run, "e", 5)];
    done(&store, commit).await;
    store.delete_deployment(&name("a"), NOON).await.expect("deleted");
    deploy(&store, "a").await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.postings = vec![posting(&run, "e", 6)];
    assert!(matches!(store.commit_run(commit).await, Ok(RunCommitResult::Conflict { .. })));
    assert_eq!(store.stream_totals().await.expect("totals")[0].entries, 1);
}

pub(crate) async fn an_entry_is_found_by_id_number_and_answer(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let mut ids = Vec::new();
    for batch in 0..3 {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        commit.postings = (1..=40).map(|i| posting(&run, &format!("{batch}-{i}"), i)).collect();
        let refund = posting(&run, &format!("refund-{batch}"), 9);
        commit.postings.push(with_content(NewEntry { of: Some("0-1".into()), ..refund }));
        ids.extend(commit.postings.iter().map(|entry| entry.id.clone()));
        done(&store, commit).await;
        let id = format!("host-{batch}");
        let appended = store.append_entries(vec![by_host("a", &id, 7)], later(batch)).await.expect("appended");
        let [AppendedEntry::New(entry)] = appended.as_slice() else { panic!("{appended:?}") };
        ids.push(entry.id.clone());
    }
    for (number, id) in (1..).zip(&ids) {
        let entry = store.ledger_entry(id).await.expect("a read").expect("the entry");
        assert_eq!((entry.sequence, &entry.id), (number, id));
        assert_eq!(store.ledger_entry_at(number).await, Ok(Some(entry)));
    }
    let run = RunId::new(NOON, 999_999);
    for absent in ["", "entry-", "entry-0", "entry-1", "entry-999", "x", &format!("{run}-1-00000"), &"é".repeat(30)] {
        assert_eq!(store.ledger_entry(absent).await, Ok(None), "{absent}");
    }
    assert_eq!(store.ledger_entry_at(ids.len() as u64 + 1).await, Ok(None));
    let answers = store.ledger_answers(&stream("a"), "0-1", PageRequest::first(2)).await.expect("a page");
    let found: Vec<_> = answers.items.iter().map(|entry| entry.external_id.as_str()).collect();
    assert_eq!((found, answers.next.is_some()), (vec!["refund-0", "refund-1"], true));
    let check = store.check_ledger().await.expect("a check");
    assert_eq!((check.entries, check.problems), (ids.len() as u64, vec![]));
}

pub(crate) async fn entries_of_all_streams_are_listed_by_time(store: Arc<dyn Store>) {
    for number in 0..60 {
        let of = ["a", "b", "c/one"][number % 3];
        let cents = i64::try_from(number * 37 % 50).expect("small") + 1;
        let entry = by_host(of, &number.to_string(), cents);
        store.append_entries(vec![entry], NOON).await.expect("appended");
    }
    let mut page = PageRequest::first(7);
    let mut found = Vec::new();
    loop {
        let part = store.ledger_entries(None, page.clone()).await.expect("a page");
        found.extend(part.items.into_iter().map(|entry| (entry.occurred_at, entry.sequence)));
        let Some(next) = part.next else { break };
        page.cursor = Some(next);
    }
    assert_eq!(found.len(), 60);
    assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
}

pub(crate) async fn an_entry_of_the_host_posts_once(store: Arc<dyn Store>) {
    let sale = by_host("a", "e", 5);
    let first = store.append_entries(vec![sale.clone()], NOON).await.expect("appended");
    let [AppendedEntry::New(first)] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((first.id.as_str(), first.posted_at), ("entry-1", NOON));
    let again = store.append_entries(vec![sale, by_host("a", "f", 6)], later(1)).await.expect("appended");
    let [AppendedEntry::Duplicate(same), AppendedEntry::New(other)] = again.as_slice() else { panic!("{again:?}") };
    assert_eq!((same, other.sequence), (first, 2));
    for refused in [vec![by_host("a", "g", 1), by_host("a", "e", 6)], vec![by_host("a", "g", 1), by_host("a", "g", 1)]]
    {
        let answer = store.append_entries(refused, later(2)).await;
        assert!(matches!(answer, Err(StoreError::ExternalIdTaken { .. })), "{answer:?}");
    }
    assert_eq!(store.ledger_head().await.expect("a head").sequence, 2);
}

pub(crate) async fn an_entry_that_does_not_balance_is_refused(store: Arc<dyn Store>) {
    let mut entry = by_host("a", "e", 5);
    entry.legs[0].minor_units += 1;
    assert!(matches!(store.append_entries(vec![entry], NOON).await, Err(StoreError::IllegalTransition(_))));
    assert_eq!(store.ledger_head().await.expect("a head").sequence, 0);
}

pub(crate) async fn a_stream_is_on_paper_or_not_from_its_first_entry_on(store: Arc<dyn Store>) {
    let entry = |of: &str, id: &str, paper| NewEntry { paper, ..by_host(of, id, 5) };
    store.append_entries(vec![entry("a", "1", true), entry("b", "1", false)], NOON).await.expect("appended");
    for refused in [
        vec![NewEntry { currency: "USD".into(), ..entry("a", "2", false) }],
        vec![entry("a", "2", true), entry("b", "2", true)],
        vec![entry("new", "1", true), entry("new", "2", false)],
    ] {
        let answer = store.append_entries(refused, NOON).await;
        assert!(matches!(answer, Err(StoreError::EffectImpossible { code: Code::PaperChanged, .. })), "{answer:?}");
    }
    store.append_entries(vec![entry("a", "2", true)], NOON).await.expect("appended");
    let totals = store.stream_totals().await.expect("totals");
    let papers: Vec<_> = totals.iter().map(|total| (total.stream.as_str(), total.paper, total.entries)).collect();
    assert_eq!(papers, [("a", true, 2), ("b", false, 1)]);
    let accounts = store.account_totals(None, NOON).await.expect("balances");
    assert!(accounts.iter().all(|account| account.paper == (account.stream.as_str() == "a")), "{accounts:?}");
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn a_unit_keeps_the_decimal_places_of_its_first_entry(store: Arc<dyn Store>) {
    let of =
        |id: &str, currency: &str, exponent| NewEntry { currency: currency.into(), exponent, ..by_host("a", id, 5) };
    let entries = vec![of("1", "EUR", Some(2)), of("2", "POINTS", Some(3)), of("3", "OLD", None)];
    store.append_entries(entries, NOON).await.expect("appended");
    let refused = store.append_entries(vec![of("4", "POINTS", Some(2))], NOON).await;
    assert!(matches!(refused, Err(StoreError::EffectImpossible { code: Code::UnitChanged, .. })), "{refused:?}");
    let units = |declared: &[(&'static str, u8)]| Currencies::with_declared(declared.iter().copied()).expect("units");
    let unit = |code: &str, exponent| LedgerUnit { code: code.into(), exponent };
    let conflict = |stored, given| UnitConflict { stored, given };
    let compared = store.compare_units(units(&[("POINTS", 2), ("OLD", 1)])).await;
    assert_eq!(compared, Ok(vec![conflict(unit("POINTS", 3), Some(2))]));
    let compared = store.compare_units(units(&[("OLD", 2)])).await.expect("a comparison");
    assert!(compared.contains(&conflict(unit("POINTS", 3), None)), "{compared:?}");
    assert_eq!(store.compare_units(units(&[("POINTS", 3), ("OLD", 1)])).await, Ok(vec![]));
    assert_eq!(store.ledger_units().await, Ok(vec![unit("EUR", 2), unit("OLD", 1), unit("POINTS", 3)]));
}
