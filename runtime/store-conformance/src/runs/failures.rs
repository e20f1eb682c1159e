//! Claims about the failures of runs: kept in order, within a bound, and shown to the operator.

use std::sync::Arc;

use tidemill_core::Failure;
use tidemill_core::run::RunState;

use crate::fixture::{a_and_b, claimed_run, done, later, success};
use tidemill_store::Store;
use tidemill_store::records::{
    FAILURES_OF_RUN, FailedPart, FailureRecord, FeedEvent, PageRequest, ParkedFilter, RetentionPolicy, RunCommit,
    RunFilter,
};

fn record(code: &str, part: FailedPart) -> FailureRecord {
    FailureRecord { at: later(1), attempt: 1, part, failure: Failure::new(code, "it did not work") }
}

pub(crate) async fn failures_are_kept_in_order_within_a_bound(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let other = claimed_run(&store, &owner, "a").await;
    let most = FAILURES_OF_RUN as u64;
    for nth in 1..=most + 9 {
        let step = FailedPart::Step { path: "charge".into(), attempt: u32::try_from(nth).expect("a small number") };
        let failures = vec![record(&format!("code-{nth}"), step)];
        done(&store, RunCommit { failures, ..RunCommit::of(owner.clone(), run.clone(), later(nth)) }).await;
    }
    let kept = store.failures(run.id).await.expect("the failures");
    let numbers: Vec<u64> = kept.iter().map(|failure| failure.number).collect();
    let expected: Vec<u64> = (1..=most / 2).chain(most / 2 + 10..=most + 9).collect();
    assert_eq!(numbers, expected, "the first half and the newest half");
    assert!(kept.iter().all(|kept| kept.record.failure.code == format!("code-{}", kept.number)));
    assert_eq!(store.failures(other.id).await, Ok(Vec::new()));

    // A failure is bounded whatever its sender sends.
    let long = Failure::new("long", "é".repeat(9_000)).with_details(format!("{:?}", "x".repeat(9_000)));
    let failures = vec![FailureRecord { failure: long, ..record("long", FailedPart::Attempt) }];
    done(&store, RunCommit { failures, ..RunCommit::of(owner.clone(), other.clone(), later(9)) }).await;
    let kept = store.failures(other.id).await.expect("the failures").remove(0).record.failure;
    assert!(kept.message.len() <= 2 << 10 && kept.details.is_none());
}

pub(crate) async fn a_cancelled_run_with_a_failure_waits_for_the_operator(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let cancelled = async |part: FailedPart| {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        (commit.run.state, commit.output) = (RunState::Cancelled, None);
        commit.failures = vec![record("first", FailedPart::Attempt), record("not-undone", part)];
        done(&store, commit).await;
        store.run(run.id).await.expect("a read").expect("the run")
    };
    let clean = cancelled(FailedPart::Attempt).await;
    let failed = cancelled(FailedPart::Cancellation).await;
    assert_eq!(store.failure_of(&clean).await, Ok(None), "a failed attempt before is not how it ended");
    let failure = store.failure_of(&failed).await.expect("a read").expect("a failure");
    assert_eq!(failure.code, "not-undone");

    let page = PageRequest::first(9);
    let listed = store.parked(ParkedFilter::default(), page.clone()).await.expect("a page").items;
    assert_eq!(
        listed.iter().map(|one| (one.run, one.why.code.as_str())).collect::<Vec<_>>(),
        [(failed.id, "not-undone")]
    );
    let feed = store.feed(0, 500).await.expect("the feed");
    let code = |event: FeedEvent| match event {
        FeedEvent::Run { id, state, code, .. } if state == "cancelled" => Some((id, code)),
        _ => None,
    };
    let codes: Vec<_> = feed.into_iter().filter_map(|entry| code(entry.event)).collect();
    assert_eq!(codes, [(clean.id, None), (failed.id, Some("not-undone".to_owned()))]);
    let with_code = RunFilter { codes: vec!["not-undone".to_owned()], ..RunFilter::default() };
    let found = store.runs(with_code, page.clone()).await.expect("a page").items;
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [failed.id]);
    // An operation on parked runs does not include it.
    let parked = RunFilter { states: vec!["parked".to_owned()], ..RunFilter::default() };
    assert!(store.runs(parked, page.clone()).await.expect("a page").items.is_empty());

    assert_eq!((store.dismiss(clean.id).await, store.dismiss(failed.id).await), (Ok(false), Ok(true)));
    assert_eq!(store.dismiss(failed.id).await, Ok(false));
    assert!(store.parked(ParkedFilter::default(), page.clone()).await.expect("a page").items.is_empty());
    assert!(store.failure_of(&failed).await.expect("a read").is_some(), "the failure stays to be read");

    // A run that retention removes is removed with its failures.
    let again = cancelled(FailedPart::Cancellation).await;
    let policy = RetentionPolicy { ended_before: Some(later(1_000_000)), uploaded_before: None };
    store.expire(policy, 100).await.expect("an end");
    assert!(store.parked(ParkedFilter::default(), page).await.expect("a page").items.is_empty());
    assert_eq!(store.failures(again.id).await, Ok(Vec::new()));
}
