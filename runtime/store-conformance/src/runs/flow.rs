//! Claims about which run starts next: priority, rate, queue bound, debouncing, lifetime of an
//! idempotency key, and a run's place in the queue. `model` compares random sequences with the
//! guarantees of rates and debouncing.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::flow::Rate;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState, Wait};
use tidemill_core::{RunId, Timestamp};

use crate::fixture::{
    NOON, a_and_b, child, claim_one, claimed_run, deploy, done, fresh, later, name, new_run, owner, request, success,
    suspended,
};
use crate::runs::lanes::key;
use tidemill_store::records::{
    AdmissionTerms, DebounceTerms, NewRun, QueueKind, RetentionPolicy, RunCommit, RunCommitResult, RunRequestResult,
};
use tidemill_store::{Store, StoreError};

async fn admitted(
    store: &Arc<dyn Store>,
    owner: &Owner,
    limit: usize,
    rate: Option<Rate>,
    now: Timestamp,
) -> (Vec<RunId>, Option<Timestamp>) {
    let admitted = store.admit(owner, &name("a"), limit, rate.into(), now).await.expect("an admission");
    (admitted.claimed.iter().map(|claimed| claimed.run.id).collect(), admitted.next)
}

pub(crate) async fn the_lowest_priority_starts_too(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let low = request(&store, NewRun { priority: 1, ..new_run("a") }).await;
    for _ in 0..200 {
        request(&store, NewRun { priority: 9, ..new_run("a") }).await;
    }
    let mut before = 0;
    // Admitting one run at a time and several at once counts equally.
    for limit in [1, 7].into_iter().cycle() {
        let (taken, _) = admitted(&store, &owner, limit, None, NOON).await;
        assert!(!taken.is_empty(), "the lowest priority was forgotten");
        match taken.iter().position(|id| *id == low.id) {
            Some(place) => {
                before += place;
                break;
            }
            None => before += taken.len(),
        }
    }
    assert_eq!(before, 9 * 16, "eight steps below, and one more to go first");
}

pub(crate) async fn no_more_runs_start_than_the_rate_allows(store: Arc<dyn Store>) {
    let dead = a_and_b(&store).await;
    let rate = Some(Rate { runs: 5, per_millis: 1_000 });
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.push(request(&store, new_run("a")).await.id);
    }
    let (mut begun, mut now) = (Vec::<(Timestamp, RunId)>::new(), NOON);
    let mut owner = dead;
    while begun.len() < asked.len() {
        let (taken, next) = admitted(&store, &owner, 3, rate, now).await;
        begun.extend(taken.iter().map(|id| (now, *id)));
        let span = begun.iter().filter(|(at, _)| now.millis_since(*at) < 1_000).count();
        assert!(span <= 5, "{span} began within a second");
        match next {
            Some(next) => {
                assert!(next > now && next <= now.plus_millis(1_000));
                // The answer is the exact next time at which a run may start, even after a restart.
                owner = crate::fixture::owner(&store).await;
                let (early, _) = admitted(&store, &owner, 3, rate, Timestamp::from_millis(next.as_millis() - 1)).await;
                assert_eq!(early, []);
                now = next;
            }
            None => now = now.plus_millis(130),
        }
    }
    assert_eq!(begun.iter().map(|(_, id)| *id).collect::<Vec<_>>(), asked, "all began, in order");
}

pub(crate) async fn a_resumed_run_does_not_count_for_the_rate(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let rate = Some(Rate { runs: 1, per_millis: 60_000 });
    let (first, second) = (request(&store, new_run("a")).await, request(&store, new_run("a")).await);
    assert_eq!(admitted(&store, &owner, 10, rate, NOON).await, (vec![first.id], Some(later(60_000))));
    let running = RunState::Running { node: owner.node.clone(), epoch: owner.epoch };
    let run = Run { state: running.clone(), started_at: Some(NOON), ..first.clone() };
    done(&store, suspended(&owner, &run, Wait::until(later(5)))).await;
    assert_eq!(admitted(&store, &owner, 10, rate, later(5)).await.0, [first.id]);
    let state = running.next(RunEvent::Requeued { not_before: later(9) }).expect("it is tried again");
    done(&store, RunCommit::of(owner.clone(), Run { state, ..run }, later(6))).await;
    assert_eq!(admitted(&store, &owner, 10, rate, later(9)).await, (vec![first.id], Some(later(60_000))));
    assert_eq!(admitted(&store, &owner, 10, rate, later(60_000)).await, (vec![second.id], None));
}

pub(crate) async fn a_queue_is_bounded_and_counted(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let bounded = || NewRun { terms: AdmissionTerms { queue_max: 3, ..AdmissionTerms::default() }, ..new_run("a") };
    request(&store, NewRun { not_before: later(500), ..bounded() }).await;
    request(&store, NewRun { lanes: vec![key("k", 1)], ..bounded() }).await;
    let keyed = NewRun { key: Some("k".into()), lanes: vec![key("k", 1)], ..bounded() };
    let third = request(&store, keyed.clone()).await;
    assert_eq!(store.queue_length(&name("a")).await, Ok(3), "delayed ones and those before a lane count");
    assert_eq!(store.request_run(bounded()).await, Err(StoreError::QueueFull { queued: 3 }));
    // A repeated request with the same key is answered even if the queue is full.
    let again = NewRun { id: bounded().id, ..keyed };
    assert_eq!(store.request_run(again).await, Ok(RunRequestResult::Existing(third.clone())));
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(store.queue_length(&name("a")).await, Ok(2));
    request(&store, bounded()).await;
    store.request_cancel(third.id, false, NOON).await.expect("a queued run ends");
    done(&store, success(&owner, &run)).await;
    store.end_waiting(&name("a"), None, NOON).await.expect("all that wait end");
    assert_eq!(store.queue_length(&name("a")).await, Ok(0));
}

pub(crate) async fn a_key_is_kept_for_its_configured_lifetime(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let keyed = |now| NewRun {
        key: Some("k".into()),
        terms: AdmissionTerms { key_millis: 5_000, ..AdmissionTerms::default() },
        now,
        ..new_run("a")
    };
    let first = request(&store, keyed(NOON)).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    store.trim(1_000, later(4_999)).await.expect("a trim");
    assert_eq!(request(&store, keyed(later(4_999))).await.id, first.id);
    assert_ne!(request(&store, keyed(later(5_000))).await.id, first.id);
}

/// Retention may remove a run's record before its key expires. The same request must not repeat the
/// work.
pub(crate) async fn a_key_outlives_the_record_of_its_run(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let keyed = |now| NewRun {
        key: Some("k".into()),
        terms: AdmissionTerms { key_millis: 5_000, ..AdmissionTerms::default() },
        now,
        ..new_run("a")
    };
    let first = request(&store, keyed(NOON)).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    let policy = RetentionPolicy { ended_before: Some(later(10)), uploaded_before: None };
    while store.expire(policy, 9).await.expect("retention").more {}
    assert_eq!(store.run(first.id).await, Ok(None));
    store.trim(1_000, later(4_999)).await.expect("a trim");
    let refused = StoreError::KeyOutlivesRun { run: first.id };
    assert_eq!(store.request_run(keyed(later(4_999))).await, Err(refused.clone()));
    assert_eq!(store.key_outlives(&name("a"), "k", later(4_999)).await, Ok(Some(first.id)));
    let another = NewRun { input: Bytes::from_static(b"7"), ..keyed(later(4_999)) };
    assert!(matches!(store.request_run(another).await, Err(StoreError::KeyMismatch { .. })));
    assert_eq!(store.commit_run(fresh(&owner, &keyed(later(4_999)))).await, Err(refused));
    assert_eq!(store.key_outlives(&name("a"), "k", later(5_000)).await, Ok(None));
    assert_ne!(request(&store, keyed(later(5_000))).await.id, first.id);
    assert_eq!(store.key_outlives(&name("a"), "k", later(5_000)).await, Ok(None), "its run is there");
}

fn debounced(of: &str, input: &'static [u8], now: Timestamp) -> NewRun {
    let debounce = DebounceTerms { key: of.into(), wait_millis: 1_000, max_wait_millis: 2_500 };
    let terms = AdmissionTerms { debounce: Some(debounce), ..AdmissionTerms::default() };
    NewRun { input: Bytes::from_static(input), now, not_before: now, terms, ..new_run("a") }
}

async fn joined(store: &Arc<dyn Store>, new: NewRun) -> Run {
    match store.request_run(new).await.expect("a request") {
        RunRequestResult::Joined(run) => run,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn debounced_requests_become_one_run(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let first = request(&store, debounced("x", b"1", NOON)).await;
    let other = request(&store, debounced("y", b"7", NOON)).await;
    assert_ne!(first.id, other.id);
    let newest = NewRun { lanes: vec![key("k", 1)], priority: 7, ..debounced("x", b"2", later(900)) };
    let run = joined(&store, newest.clone()).await;
    assert_eq!((run.id, run.priority, run.lanes), (first.id, 7, newest.lanes));
    assert_eq!(run.state, RunState::Queued { not_before: later(1_900) });
    assert_eq!(store.queue_length(&name("a")).await, Ok(2));
    assert_eq!(admitted(&store, &owner, 10, None, later(1_899)).await.0, [other.id]);
    let claimed = store.claim(&owner, &name("a"), 10, later(1_900)).await.expect("a claim");
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].run.id, &claimed[0].input), (first.id, &Bytes::from_static(b"2")));
    // The run has started, so the next request creates another.
    assert_ne!(request(&store, debounced("x", b"3", later(1_901))).await.id, first.id);
}

pub(crate) async fn a_joined_request_takes_no_place_in_the_queue(store: Arc<dyn Store>) {
    let _ = a_and_b(&store).await;
    let bounded = |of: &str| {
        let mut new = debounced(of, b"1", NOON);
        new.terms.queue_max = 1;
        new
    };
    let first = request(&store, bounded("x")).await;
    assert_eq!(joined(&store, bounded("x")).await.id, first.id, "it is asked before the queue's bound");
    assert_eq!(store.request_run(bounded("y")).await, Err(StoreError::QueueFull { queued: 1 }));
    assert_eq!(store.queue_length(&name("a")).await, Ok(1));
}

pub(crate) async fn a_debounced_run_waits_at_most_the_maximum_wait(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let first = request(&store, debounced("x", b"0", NOON)).await;
    for at in [800, 1_600, 2_400] {
        assert_eq!(joined(&store, debounced("x", b"n", later(at))).await.id, first.id);
    }
    assert_eq!(admitted(&store, &owner, 10, None, later(2_499)).await.0, []);
    // The run is due, so the next request creates another, even though no node has claimed it yet.
    let next = request(&store, debounced("x", b"n", later(2_500))).await;
    assert_ne!(next.id, first.id);
    assert_eq!(admitted(&store, &owner, 10, None, later(2_500)).await.0, [first.id]);
    assert_eq!(joined(&store, debounced("x", b"n", later(2_600))).await.id, next.id);
}

pub(crate) async fn a_debounced_request_finds_its_run_by_its_key(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let keyed = |of: &str, input, now| NewRun { key: Some(of.into()), ..debounced("x", input, now) };
    let first = request(&store, keyed("one", b"1", NOON)).await;
    assert_eq!(joined(&store, keyed("two", b"2", later(10))).await.id, first.id);
    let again = store.request_run(keyed("two", b"2", later(20))).await;
    assert!(matches!(again, Ok(RunRequestResult::Existing(ref run)) if run.id == first.id), "{again:?}");
    let other = store.request_run(keyed("two", b"9", later(20))).await;
    assert_eq!(other, Err(StoreError::KeyMismatch { run: first.id }));
    let run = store.claim(&owner, &name("a"), 1, later(2_000)).await.expect("a claim").remove(0).run;
    done(&store, success(&owner, &run)).await;
    // Both are kept for a day after the run's end.
    let day = 24 * 60 * 60 * 1000;
    for (at, known) in [(day - 1, true), (day, false)] {
        store.trim(1_000, later(at)).await.expect("a trim");
        for of in ["one", "two"] {
            let found = store.request_run(keyed(of, if of == "one" { b"1" } else { b"2" }, later(at))).await;
            let same = matches!(found, Ok(RunRequestResult::Existing(ref run)) if run.id == first.id);
            assert_eq!(same, known, "{of} {at}: {found:?}");
        }
    }
}

pub(crate) async fn a_child_never_waits_for_its_ancestor(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let k = key("k", 1);
    request(&store, NewRun { lanes: vec![k.clone()], ..new_run("a") }).await;
    let top = claim_one(&store, &owner, "a").await.run;
    let mut commit = RunCommit::of(owner.clone(), top.clone(), NOON);
    commit.starts = vec![child(&top, "b")];
    done(&store, commit).await;
    let middle = claim_one(&store, &owner, "b").await.run;
    let of = |deployment: &str, lane: &str| (name(deployment), vec![key(lane, 1)]);
    let blocked_by = async |(deployment, lanes): (_, Vec<_>)| {
        store.lane_deadlock(middle.id, &deployment, &lanes).await.expect("a look")
    };
    assert_eq!(blocked_by(of("a", "k")).await, Some(("key/k".to_owned(), top.id)));
    assert_eq!(blocked_by(of("a", "other")).await, None);
    assert_eq!(blocked_by(of("b", "k")).await, None, "a lane is its deployment's own");
    assert_eq!(blocked_by((name("a"), vec![key("k", 2)])).await, None, "there is room besides its ancestor");
    // A caller that checked before the lane was full gets the conflict at its commit.
    let mut commit = RunCommit::of(owner.clone(), middle.clone(), NOON);
    commit.starts = vec![NewRun { lanes: vec![k], ..child(&middle, "a") }];
    let answer = store.commit_run(commit).await.expect("an answer");
    assert!(matches!(answer, RunCommitResult::Conflict { .. }), "{answer:?}");
}

pub(crate) async fn the_time_for_which_the_next_runs_wait_is_known(store: Arc<dyn Store>) {
    let name = deploy(&store, "a").await.name;
    let owner = owner(&store).await;
    assert_eq!(store.oldest_ready(&name).await, Ok(None));
    request(&store, NewRun { not_before: later(500), ..new_run("a") }).await;
    assert_eq!(store.oldest_ready(&name).await, Ok(None), "no run is due");
    request(&store, NewRun { not_before: later(5), now: later(5), priority: 9, ..new_run("a") }).await;
    request(&store, NewRun { not_before: later(3), now: later(3), priority: 1, ..new_run("a") }).await;
    assert_eq!(store.oldest_ready(&name).await, Ok(Some(later(3))));
    admitted(&store, &owner, 9, None, later(10)).await;
    assert_eq!(store.oldest_ready(&name).await, Ok(None));
}

pub(crate) async fn the_queue_position_of_a_run_is_known(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let position_of = async |id| store.queue_position(id, 2).await.expect("a look").expect("a run");
    assert_eq!(store.queue_position(RunId::new(NOON, 99), 2).await, Ok(None));
    let k = key("k", 1);
    let inside = request(&store, NewRun { lanes: vec![k.clone()], ..new_run("a") }).await;
    let first = request(&store, NewRun { lanes: vec![k.clone()], ..new_run("a") }).await;
    let second = request(&store, NewRun { lanes: vec![k.clone()], ..new_run("a") }).await;
    let late = request(&store, NewRun { not_before: later(500), ..new_run("a") }).await;
    let others = [request(&store, new_run("a")).await, request(&store, new_run("a")).await];
    let last = request(&store, new_run("a")).await;
    assert_eq!(position_of(inside.id).await.listed, QueueKind::Ready(0));
    assert_eq!(position_of(first.id).await.listed, QueueKind::Lane(0, 0));
    let position = position_of(second.id).await;
    assert_eq!((position.listed, position.queued), (QueueKind::Lane(0, 1), 7));
    let (lane, is_in, view) = &position.lanes[0];
    assert_eq!((lane, is_in, &view.in_it, &view.next), (&k, &false, &vec![inside.id], &vec![first.id, second.id]));
    assert_eq!(position_of(late.id).await.listed, QueueKind::Delayed(later(500)));
    assert_eq!(position_of(others[0].id).await.listed, QueueKind::Ready(1));
    assert_eq!(position_of(last.id).await.listed, QueueKind::Ready(2), "counted up to two");
    let rate = Some(Rate { runs: 1, per_millis: 1_000 });
    admitted(&store, &owner, 1, rate, NOON).await;
    let position = position_of(inside.id).await;
    assert_eq!((position.listed, position.starts), (QueueKind::Nowhere, (1, Some(NOON))));
    assert!(position.lanes[0].1);
    let waits = claimed_run(&store, &owner, "a").await;
    done(&store, suspended(&owner, &waits, Wait::until(later(900)))).await;
    assert_eq!(position_of(waits.id).await.listed, QueueKind::Delayed(later(900)));
}
