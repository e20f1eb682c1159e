//! Claims about the ledger.

use std::sync::Arc;

use tidemill_core::run::Run;

use crate::fixture::{NOON, claimed_run, deploy, done, later, name, owner, success};
use tidemill_store::Store;
use tidemill_store::records::{LedgerEntry, LedgerLeg, NewPosting, PageRequest, RunCommitResult};

pub(crate) fn posting(run: &Run, external_id: &str, cents: i64) -> NewPosting {
    let leg = |account: &str, minor_units| LedgerLeg { account: account.into(), minor_units };
    NewPosting {
        entry: LedgerEntry {
            id: format!("{}-{external_id}", run.id),
            stream: run.deployment.clone(),
            run: run.id,
            external_id: external_id.into(),
            kind: "sale".into(),
            minor_units: cents,
            currency: "EUR".into(),
            net_revenue: cents,
            occurred_at: later(u64::try_from(cents).unwrap_or_default()),
            posted_at: NOON,
            customer: None,
            description: String::new(),
            metadata: "{}".into(),
            legs: vec![leg("revenue", -cents), leg("receivable", cents)],
            fingerprint: [1; 16],
        },
    }
}

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
    let known = store.external_id(&name("a"), "e").await.expect("a read");
    assert!(known.posting.is_some());
    assert_eq!(known.fingerprint, [1; 16]);
    assert_eq!(store.external_id(&name("a"), "f").await.expect("a read").posting, None);
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
    let accounts = store.account_totals(Some(&name("a"))).await.expect("totals");
    assert_eq!(accounts.iter().map(|account| account.minor_units).sum::<i128>(), 0);
    assert_eq!(accounts.len(), 2);
    let check = store.check_ledger().await.expect("a check");
    assert_eq!((check.entries, check.problems), (30, vec![]));
    for stream in [None, Some(&name("a"))] {
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
    let totals = store.revenue(&name("a"), later(3), later(6)).await.expect("a sum");
    assert_eq!((totals[0].net_revenue, totals[0].entries), (3 + 4 + 5, 3));
    assert_eq!(store.revenue(&name("a"), later(11), later(99)).await, Ok(vec![]));
}
