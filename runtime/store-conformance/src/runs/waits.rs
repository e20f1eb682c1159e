//! Claims about suspended runs: no wake-up is ever lost.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState, Wait, WaitCondition};

use crate::fixture::{
    NOON, a_and_b, claim_one, claimed_run, deploy, done, later, name, new_run, owner, request, start, success,
    suspended,
};
use tidemill_store::Store;
use tidemill_store::records::{AdmissionLimits, NewRun, NewSignal, RunCommit, SignalReceipt};

fn signal(to: RunId, name: &str) -> NewSignal {
    NewSignal { to, name: name.into(), payload: Bytes::from_static(b"1"), key: None }
}

fn for_signal(name: &str) -> Wait {
    Wait { any_of: vec![WaitCondition::Signal(name.into())], all: false, until: None }
}

fn for_runs(runs: &[Run], all: bool) -> Wait {
    Wait { any_of: runs.iter().map(|run| WaitCondition::Run(run.id)).collect(), all, until: None }
}

async fn is_ready(store: &Arc<dyn Store>) -> bool {
    store.waiting_deployments(NOON).await.expect("a list").contains(&name("a"))
}

async fn send(store: &Arc<dyn Store>, signal: NewSignal) -> Vec<tidemill_core::DeploymentName> {
    match store.signal(signal, NOON).await.expect("a signal") {
        SignalReceipt::Accepted(caused) => caused.ready,
        other => panic!("{other:?}"),
    }
}

async fn wait(store: &Arc<dyn Store>, owner: &Owner, run: &Run, wait: Wait) -> Vec<tidemill_core::DeploymentName> {
    done(store, suspended(owner, run, wait)).await.ready
}

pub(crate) async fn a_signal_wakes_a_run_before_or_after_it_waits(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    assert_eq!(wait(&store, &owner, &run, for_signal("go")).await, []);
    assert!(!is_ready(&store).await);
    assert_eq!(send(&store, signal(run.id, "other")).await, []);
    assert_eq!(send(&store, signal(run.id, "go")).await, [name("a")]);
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.waiting_for, Some(for_signal("go")), "the claim returns what the run waited for");
    let kept = store.run(run.id).await.expect("a read").expect("the run");
    assert_eq!(kept.waiting_for, None, "it waits no longer");
    // The commit that waits for the next signal takes the first one, so the first does not end the
    // wait.
    let taken = store.inbox(run.id, "go", None).await.expect("a read").expect("a signal");
    let mut commit = suspended(&owner, &run, for_signal("go"));
    commit.taken = vec![taken.place];
    assert_eq!(done(&store, commit).await.ready, []);
    assert_eq!(store.claim(&owner, &name("a"), 9, NOON).await, Ok(vec![]));
    send(&store, signal(run.id, "go")).await;
    let run = claim_one(&store, &owner, "a").await.run;
    // A signal that is already in the inbox: the commit itself lists the run.
    assert_eq!(wait(&store, &owner, &run, for_signal("other")).await, [name("a")]);
    claim_one(&store, &owner, "a").await;
}

pub(crate) async fn the_end_of_a_child_wakes_its_parent_alone(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let (parent, other) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    let children = start(&store, &owner, &parent, 2).await;
    wait(&store, &owner, &parent, for_runs(&children[..1], false)).await;
    wait(&store, &owner, &other, for_signal("go")).await;
    let claimed = store.claim(&owner, &name("b"), 2, NOON).await.expect("a claim");
    let run = |child: &Run| claimed.iter().find(|one| one.run.id == child.id).expect("a child").run.clone();
    let unawaited = done(&store, success(&owner, &run(&children[1]))).await;
    assert_eq!(unawaited.ready, [], "it is not what the parent waits for");
    assert_eq!(store.outcome(children[0].id).await, Ok(None));
    let awaited = done(&store, success(&owner, &run(&children[0]))).await;
    assert_eq!(awaited.ready, [name("a")]);
    let outcome = store.outcome(children[0].id).await.expect("a read").expect("an outcome");
    assert_eq!((outcome.state, outcome.output), (RunState::Succeeded, Some(Bytes::from_static(b"null"))));
    let woken = store.claim(&owner, &name("a"), 9, NOON).await.expect("a claim");
    assert_eq!(woken.iter().map(|one| one.run.id).collect::<Vec<_>>(), [parent.id]);
    // A child that ended before the wait was committed wakes its parent too.
    assert_eq!(wait(&store, &owner, &woken[0].run, for_runs(&children[..1], false)).await, [name("a")]);
}

pub(crate) async fn a_wait_for_all_ends_with_the_last(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let parent = claimed_run(&store, &owner, "a").await;
    let children = start(&store, &owner, &parent, 3).await;
    wait(&store, &owner, &parent, for_runs(&children, true)).await;
    for left in [2, 1, 0] {
        let run = claim_one(&store, &owner, "b").await.run;
        let ready = done(&store, success(&owner, &run)).await.ready;
        assert_eq!(ready.is_empty(), left > 0, "with {left} to come");
    }
    let parent = claim_one(&store, &owner, "a").await.run;
    assert_eq!(wait(&store, &owner, &parent, for_runs(&children, true)).await, [name("a")], "all have ended before");
}

pub(crate) async fn a_wait_ends_at_its_deadline_or_earlier(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let until = Wait { until: Some(later(500)), ..for_signal("go") };
    let caused = done(&store, suspended(&owner, &run, until.clone())).await;
    assert_eq!((caused.ready, caused.delayed), (vec![], Some(later(500))));
    assert_eq!(store.next_delayed(NOON).await, Ok(Some(later(500))));
    assert_eq!(store.claim(&owner, &name("a"), 1, later(499)).await, Ok(vec![]));
    assert_eq!(store.waiting_deployments(later(500)).await, Ok(vec![name("a")]));
    let run = store.claim(&owner, &name("a"), 1, later(500)).await.expect("a claim").remove(0).run;
    done(&store, suspended(&owner, &run, until)).await;
    send(&store, signal(run.id, "go")).await;
    assert_eq!(store.next_delayed(NOON).await, Ok(None), "its time means nothing any more");
    claim_one(&store, &owner, "a").await;
    assert_eq!(store.claim(&owner, &name("a"), 1, later(500)).await, Ok(vec![]), "it is claimed once");
}

pub(crate) async fn started_runs_are_claimed_before_new_ones(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (old, young) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    let back = claimed_run(&store, &owner, "a").await;
    let new = request(&store, NewRun { priority: 5, ..new_run("a") }).await;
    for run in [&young, &old] {
        wait(&store, &owner, run, for_signal("go")).await;
    }
    for run in [&young, &old] {
        send(&store, signal(run.id, "go")).await;
    }
    let state = back.state.next(RunEvent::Requeued { not_before: NOON }).expect("a running run can go back");
    done(&store, RunCommit::of(owner.clone(), Run { state, ..back.clone() }, NOON)).await;
    let claimed = store.claim(&owner, &name("a"), 9, NOON).await.expect("a claim");
    let order: Vec<_> = claimed.iter().map(|one| one.run.id).collect();
    assert_eq!(order, [old.id, young.id, back.id, new.id]);
}

pub(crate) async fn a_wait_for_nothing_ends_at_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    for nothing in [Wait::default(), Wait { all: true, ..Wait::default() }, Wait::until(NOON)] {
        let run = claimed_run(&store, &owner, "a").await;
        assert_eq!(wait(&store, &owner, &run, nothing).await, [name("a")]);
        claim_one(&store, &owner, "a").await;
    }
}

pub(crate) async fn privileged_runs_pass_a_maximum(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let retried = claimed_run(&store, &owner, "a").await;
    let (woken, cancelled) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    wait(&store, &owner, &woken, for_signal("go")).await;
    wait(&store, &owner, &cancelled, for_signal("go")).await;
    let state = retried.state.next(RunEvent::Requeued { not_before: NOON }).expect("a running run returns");
    done(&store, RunCommit::of(owner.clone(), Run { state, attempt: 2, ..retried.clone() }, NOON)).await;
    send(&store, signal(woken.id, "go")).await;
    store.request_cancel(cancelled.id, false, NOON).await.expect("it is suspended");
    let new = [request(&store, new_run("a")).await.id, request(&store, new_run("a")).await.id];
    let admit = async |limit, unprivileged| {
        let limits = AdmissionLimits { unprivileged, ..AdmissionLimits::default() };
        let admitted = store.admit(&owner, &name("a"), limit, limits, NOON).await.expect("an admission");
        admitted.claimed.iter().map(|claimed| claimed.run.id).collect::<Vec<_>>()
    };
    assert_eq!(admit(1, Some(0)).await, [woken.id], "the retried run is the first, but is passed");
    assert_eq!(admit(9, Some(0)).await, [cancelled.id]);
    assert_eq!(admit(9, Some(0)).await, [], "others stay where they are");
    assert_eq!(admit(9, Some(2)).await, [retried.id, new[0]]);
    assert_eq!(admit(9, None).await, [new[1]]);
}
