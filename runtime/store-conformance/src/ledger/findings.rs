//! Claims about findings.

use std::sync::Arc;

use tidemill_core::money::EntryKind;
use tidemill_store::records::{Finding, FindingClosure, FindingFilter, NewEntry, PageRequest};
use tidemill_store::{Store, StoreError};

use super::{by_host, legs, posting, with_content};
use crate::fixture::{NOON, claimed_run, deploy, done, later, owner, success};

/// A refund of 5 cents that answers an external id.
fn refund(id: &str, of: &str) -> NewEntry {
    let kind = EntryKind::Refund;
    let (legs, of) = (legs(kind, 5), Some(of.to_owned()));
    with_content(NewEntry { kind: kind.as_str().into(), legs, net_revenue: -5, of, ..by_host("a", id, 5) })
}

async fn list(store: &Arc<dyn Store>, filter: FindingFilter) -> Vec<Finding> {
    store.findings(filter, PageRequest::first(10)).await.expect("a page").items
}

pub(crate) async fn a_finding_is_open_until_entries_explain_it(store: Arc<dyn Store>) {
    store.append_entries(vec![refund("re-1", "ch-1"), refund("re-2", "ch-1")], NOON).await.expect("appended");
    let open = list(&store, FindingFilter::default()).await;
    let kinds: Vec<_> = open.iter().map(|finding| (finding.number, finding.kind.as_str())).collect();
    assert_eq!(kinds, [(2, "negative-receivable"), (1, "of-unknown")]);
    store.append_entries(vec![by_host("a", "ch-1", 7)], later(1)).await.expect("appended");
    let open = list(&store, FindingFilter::default()).await;
    let kinds: Vec<_> = open.iter().map(|finding| (finding.kind.as_str(), finding.minor_units)).collect();
    assert_eq!(kinds, [("over-refunded", Some(3)), ("negative-receivable", None)]);
    store.append_entries(vec![by_host("a", "ch-2", 3)], later(2)).await.expect("appended");
    assert_eq!(store.open_finding_count().await, Ok(1), "the account is not below zero any more");
}

pub(crate) async fn a_finding_that_a_person_closed_is_kept_with_the_reason(store: Arc<dyn Store>) {
    store.append_entries(vec![by_host("a", "ch-1", 5), refund("re-1", "ch-0")], NOON).await.expect("appended");
    let closure = FindingClosure { at: later(1), actor: "ann".into(), reason: "an old system".into() };
    let closed = store.close_finding(1, closure.clone()).await.expect("closed");
    assert_eq!((closed.kind.as_str(), closed.closure.as_ref()), ("of-unknown", Some(&closure)));
    let other = FindingClosure { reason: "another".into(), ..closure };
    assert_eq!(store.close_finding(1, other.clone()).await, Ok(closed.clone()));
    assert!(matches!(store.close_finding(2, other).await, Err(StoreError::NotFound { .. })));
    // Another answer to the same id does not open it again.
    store.append_entries(vec![refund("re-2", "ch-0"), by_host("a", "ch-2", 5)], later(2)).await.expect("appended");
    assert_eq!(list(&store, FindingFilter::default()).await, []);
    assert_eq!(list(&store, FindingFilter { closed: true, ..FindingFilter::default() }).await, [closed]);
    assert_eq!(store.open_finding_count().await, Ok(0));
}

pub(crate) async fn an_id_with_two_contents_in_one_transaction_is_a_finding(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.postings = vec![posting(&run, "e", 5)];
    commit.id_conflicts = vec!["e".into(), "of no entry".into()];
    done(&store, commit).await;
    let [found] = &list(&store, FindingFilter::default()).await[..] else { panic!("one finding") };
    assert_eq!((found.kind.as_str(), found.subject.as_str(), found.sequence), ("id-conflict", "e", 1));
}
