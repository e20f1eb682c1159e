//! Claims about requesting, claiming and finding runs.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::limits::LOG_PAGE_BYTES;
use tidemill_core::run::RunState;

use crate::fixture::{
    NOON, claim_one, claimed_run, deploy, done, failure, later, name, new_run, owner, request, success,
};
use tidemill_store::records::{
    LogLevel, LogLine, LogPage, NewRun, PageRequest, RecoveryFilter, RetryChange, RunFilter, RunRequestResult,
};
use tidemill_store::{Store, StoreError};

fn keyed(key: &str) -> NewRun {
    NewRun { key: Some(key.into()), ..new_run("a") }
}

pub(crate) async fn a_key_makes_one_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let requests = (0..20).map(|_| store.request_run(keyed("k")));
    let answers = futures_util::future::join_all(requests).await;
    let created = answers.iter().filter(|answer| matches!(answer, Ok(RunRequestResult::Created(_)))).count();
    assert_eq!(created, 1);
    let all = store.runs(RunFilter::default(), PageRequest::first(100)).await.expect("a list").items;
    assert_eq!(all.len(), 1);
    assert_eq!(store.run_by_key(&name("a"), "k").await, Ok(Some(all[0].clone())));
}

pub(crate) async fn the_same_key_with_another_input_is_refused(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let run = request(&store, keyed("k")).await;
    let other = NewRun { input: Bytes::from_static(b"[]"), ..keyed("k") };
    assert_eq!(store.request_run(other).await, Err(StoreError::KeyMismatch { run: run.id }));
}

pub(crate) async fn a_key_is_forgotten_a_day_after_its_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let first = request(&store, keyed("k")).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    let day = 24 * 60 * 60 * 1000;
    store.trim(1_000, later(day - 1)).await.expect("a trim");
    assert_eq!(request(&store, NewRun { now: later(day - 1), ..keyed("k") }).await.id, first.id);
    store.trim(1_000, later(day)).await.expect("a trim");
    assert_ne!(request(&store, NewRun { now: later(day), ..keyed("k") }).await.id, first.id);
}

pub(crate) async fn runs_are_claimed_by_priority_and_then_age(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let owner = owner(&store).await;
    let (low, old, young) = (new_run("a"), new_run("a"), new_run("a"));
    let high = NewRun { priority: 9, ..new_run("a") };
    let low = NewRun { priority: 1, ..low };
    for new in [&low, &old, &young, &high] {
        request(&store, new.clone()).await;
    }
    let other = request(&store, new_run("b")).await;
    assert_eq!(store.waiting_deployments(NOON).await, Ok(vec![name("a"), name("b")]));
    let claimed = store.claim(&owner, &name("a"), 10, NOON).await.expect("a claim");
    let order: Vec<_> = claimed.iter().map(|claimed| claimed.run.id).collect();
    assert_eq!(order, [high.id, old.id, young.id, low.id]);
    assert_eq!(claimed[0].input, Bytes::from_static(b"{}"));
    assert_eq!(claim_one(&store, &owner, "b").await.run.id, other.id);
    assert_eq!(store.waiting_deployments(NOON).await, Ok(vec![]));
}

pub(crate) async fn a_delayed_run_waits_for_its_time(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = request(&store, NewRun { not_before: later(500), ..new_run("a") }).await;
    assert_eq!(store.claim(&owner, &name("a"), 10, later(499)).await, Ok(vec![]));
    assert_eq!(store.waiting_deployments(later(499)).await, Ok(vec![]));
    assert_eq!(store.next_delayed(NOON).await, Ok(Some(later(500))));
    assert_eq!(store.waiting_deployments(later(500)).await, Ok(vec![name("a")]));
    let claimed = store.claim(&owner, &name("a"), 10, later(500)).await.expect("a claim");
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].run.id, run.id);
    // After a retry that requeues it and a cancellation, the run is in no list.
    let mut back = success(&owner, &claimed[0].run);
    back.run.state = RunState::Queued { not_before: later(9_000) };
    back.output = None;
    done(&store, back).await;
    assert_eq!(store.next_delayed(later(500)).await, Ok(Some(later(9_000))));
    store.request_cancel(run.id, false, later(501)).await.expect("a queued run can be cancelled");
    assert_eq!(store.next_delayed(later(500)).await, Ok(None));
}

pub(crate) async fn a_takeover_can_exclude_suspects(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let dead = owner(&store).await;
    let old = claimed_run(&store, &dead, "a").await;
    let second = owner(&store).await;
    store.take_over(&second, RecoveryFilter::All, 10, NOON).await.expect("a takeover");
    let new = claimed_run(&store, &second, "a").await;
    let alive = owner(&store).await;
    let taken = async |which| -> Vec<_> {
        let taken = store.take_over(&alive, which, 10, NOON).await.expect("a takeover");
        taken.into_iter().map(|claimed| (claimed.run.id, claimed.run.takeovers)).collect()
    };
    assert_eq!(taken(RecoveryFilter::Except(2)).await, [(new.id, 1)]);
    assert_eq!(taken(RecoveryFilter::Except(2)).await, []);
    let left = store.run(old.id).await.expect("a read").expect("the run");
    assert_eq!(left.takeovers, 1, "a takeover that did not happen is not counted");
    assert_eq!(taken(RecoveryFilter::Only(1)).await, []);
    assert_eq!(taken(RecoveryFilter::Only(2)).await, [(old.id, 2)]);
}

pub(crate) async fn runs_of_a_dead_epoch_are_taken_over_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let dead = owner(&store).await;
    let run = claimed_run(&store, &dead, "a").await;
    let alive = owner(&store).await;
    let mine = claimed_run(&store, &alive, "a").await;
    let taken = store.take_over(&alive, RecoveryFilter::All, 10, NOON).await.expect("a takeover");
    assert_eq!(taken.len(), 1, "its own are left alone");
    assert_eq!((taken[0].run.id, taken[0].run.takeovers), (run.id, 1));
    assert_ne!(run.id, mine.id);
    assert_eq!(store.take_over(&alive, RecoveryFilter::All, 10, NOON).await, Ok(vec![]));
    let late = store.commit_run(success(&dead, &run)).await;
    assert_eq!(late, Err(StoreError::StaleEpoch { run: run.id }), "the dead one's commit comes too late");
    done(&store, success(&alive, &taken[0].run)).await;
}

pub(crate) async fn a_list_finds_each_run_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let owner = owner(&store).await;
    let mut expected = Vec::new();
    for i in 0..25_u64 {
        let of = if i % 2 == 0 { "a" } else { "b" };
        let labels = if i % 5 == 0 { vec![("team".to_owned(), "x".to_owned())] } else { vec![] };
        let id = tidemill_core::RunId::new(later(i), u128::from(i));
        expected.push(request(&store, NewRun { id, labels, now: later(i), ..new_run(of) }).await.id);
    }
    expected.reverse();
    let pages = |filter: RunFilter, limit: usize| {
        let store = store.clone();
        async move {
            let (mut found, mut page) = (Vec::new(), PageRequest::first(limit));
            loop {
                let part = store.runs(filter.clone(), page.clone()).await.expect("a page");
                assert!(part.items.len() <= limit);
                found.extend(part.items.iter().map(|run| run.id));
                let Some(next) = part.next else { return found };
                page.cursor = Some(next);
            }
        }
    };
    assert_eq!(pages(RunFilter::default(), 7).await, expected);
    let of_a = RunFilter { deployment: Some(name("a")), ..RunFilter::default() };
    assert_eq!(pages(of_a.clone(), 4).await, expected.iter().copied().step_by(2).collect::<Vec<_>>());
    let labelled = RunFilter { labels: vec![("team".into(), "x".into())], ..RunFilter::default() };
    assert_eq!(pages(labelled, 2).await.len(), 5);
    let span = RunFilter { since: Some(later(3)), until: Some(later(6)), ..RunFilter::default() };
    assert_eq!(pages(span, 10).await.len(), 3);
    let run = claim_one(&store, &owner, "a").await.run;
    let running = RunFilter { states: vec!["running".into()], ..of_a.clone() };
    assert_eq!(pages(running.clone(), 10).await, [run.id]);
    done(&store, success(&owner, &run)).await;
    assert_eq!(pages(running, 10).await, []);
    let succeeded = RunFilter { states: vec!["succeeded".into()], ..of_a };
    assert_eq!(pages(succeeded, 10).await, [run.id]);
}

pub(crate) async fn an_ended_run_accepts_nothing(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let retry = RetryChange { component: None, from_start: false, now: NOON };
    let running = store.retry_run(run.id, retry).await;
    assert!(matches!(running, Err(StoreError::IllegalTransition(_))), "a running one is its owner's");
    let mut parked = success(&owner, &run);
    parked.run.state = RunState::Parked(failure());
    parked.output = None;
    done(&store, parked).await;
    let again = store.retry_run(run.id, retry).await.expect("a retry").0;
    assert_eq!(again.attempt, 2);
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    for refused in [store.request_cancel(run.id, true, NOON).await, store.retry_run(run.id, retry).await] {
        assert!(matches!(refused, Err(StoreError::IllegalTransition(_))));
    }
    let late = store.commit_run(success(&owner, &run)).await;
    assert_eq!(late, Err(StoreError::StaleEpoch { run: run.id }));
}

pub(crate) async fn log_lines_are_read_in_order_from_any_position(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let lines = |from: u64, to: u64| {
        let line = |seq| LogLine {
            seq,
            at: later(seq),
            attempt: 1,
            level: LogLevel::Info,
            message: format!("line {seq}"),
            fields: vec![],
        };
        (from..to).map(line).collect::<Vec<_>>()
    };
    store.save_progress(&owner, &run, lines(0, 10)).await.expect("lines are saved");
    store.save_progress(&owner, &run, lines(10, 40)).await.expect("lines are saved");
    let mut commit = success(&owner, &run);
    commit.logs = lines(40, 743);
    done(&store, commit).await;
    for (from, limit) in [(0, 30), (5, 3), (10, 31), (39, 2), (42, 500), (239, 2), (241, 700), (742, 5), (743, 5)] {
        let expected = lines(from, 743.min(from + limit));
        let page = store.logs(run.id, from, usize::try_from(limit).expect("small")).await.expect("lines are read");
        assert_eq!(page, LogPage { lines: expected, next: Some(from + limit).filter(|next| *next < 743) });
    }
}

pub(crate) async fn a_page_of_log_lines_is_bounded_in_bytes(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let line = |seq| LogLine {
        seq,
        at: later(seq),
        attempt: 1,
        level: LogLevel::Info,
        message: "x".repeat(300_000),
        fields: vec![],
    };
    store.save_progress(&owner, &run, (0..10).map(line).collect()).await.expect("lines are saved");
    let (mut from, mut pages) = (Some(0), Vec::new());
    while let Some(seq) = from {
        let page = store.logs(run.id, seq, 500).await.expect("lines are read");
        pages.extend(page.lines.iter().map(|line| line.seq));
        assert!(page.lines.iter().map(LogLine::size).sum::<usize>() <= LOG_PAGE_BYTES);
        from = page.next;
    }
    assert_eq!(pages, (0..10).collect::<Vec<_>>());
}
