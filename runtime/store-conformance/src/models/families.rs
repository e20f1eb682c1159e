//! Random sequences of runs that wait, signal, start, cancel and retry each other, on the store and
//! on a model.
//!
//! After each step the model derives from its whole state which runs can be claimed; the store
//! lists and wakes them step by step. A lost wake-up, or one without a cause, makes the two differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::{CancelRequest, Run, RunEvent, Wait, WaitCondition};

use crate::Factory;
use crate::fixture::{NOON, child, deploy, failure, later, name, new_run, owner};
use crate::sequences::{self, failed};
use tidemill_store::Store;
use tidemill_store::records::{
    NewRun, NewSignal, PageRequest, RecoveryFilter, RetryChange, RunCommit, RunCommitResult,
};

/// One step of a sequence. Numbers choose among the existing runs.
#[derive(Debug, Clone)]
enum FamilyStep {
    Request,
    Claim,
    Signal {
        to: u8,
        called: u8,
    },
    /// A running run commits, and continues, waits or ends.
    Commit {
        run: u8,
        leaves: FamilyEffects,
        then: TransactionEnd,
    },
    Cancel {
        run: u8,
        terminate: bool,
    },
    Retry {
        run: u8,
        from_start: bool,
    },
    Restart,
}

/// The effects of a commit besides the run.
#[derive(Debug, Clone)]
struct FamilyEffects {
    starts: Option<bool>,
    takes: Option<u8>,
    sends: Option<(u8, u8)>,
    cancels: Option<u8>,
    observes: bool,
    journal: Option<(u8, Vec<u8>)>,
    snapshot: bool,
    notified: bool,
}

#[derive(Debug, Clone)]
enum TransactionEnd {
    Continues,
    Waits { signals: Vec<u8>, children: Vec<u8>, all: bool, timed: bool },
    Ends(u8),
}

fn act() -> impl Strategy<Value = FamilyStep> {
    let number = any::<u8>;
    let leaves = (
        (prop::option::weighted(0.4, any::<bool>()), prop::option::weighted(0.3, 0_u8..2)),
        prop::option::weighted(0.2, (number(), 0_u8..2)),
        prop::option::weighted(0.05, number()),
        any::<bool>(),
        prop::option::weighted(0.4, (number(), prop::collection::vec(number(), 0..3))),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
    );
    let leaves = leaves.prop_map(|((starts, takes), sends, cancels, observes, journal, (snapshot, notified))| {
        FamilyEffects { starts, takes, sends, cancels, observes, journal, snapshot, notified }
    });
    let waits =
        (prop::collection::vec(0_u8..2, 0..3), prop::collection::vec(number(), 0..3), any::<bool>(), any::<bool>());
    let then = prop_oneof![
        2 => Just(TransactionEnd::Continues),
        3 => waits.prop_map(|(signals, children, all, timed)| TransactionEnd::Waits { signals, children, all, timed }),
        3 => number().prop_map(TransactionEnd::Ends),
    ];
    prop_oneof![
        2 => Just(FamilyStep::Request),
        5 => Just(FamilyStep::Claim),
        2 => (number(), 0_u8..2).prop_map(|(to, called)| FamilyStep::Signal { to, called }),
        8 => (number(), leaves, then).prop_map(|(run, leaves, then)| FamilyStep::Commit { run, leaves, then }),
        1 => (number(), prop::bool::weighted(0.3)).prop_map(|(run, terminate)| FamilyStep::Cancel { run, terminate }),
        1 => (number(), any::<bool>()).prop_map(|(run, from_start)| FamilyStep::Retry { run, from_start }),
        1 => Just(FamilyStep::Restart),
    ]
}

/// A run in the model.
#[derive(Debug, Clone, Default)]
struct FamilyRun {
    state: &'static str,
    begun: bool,
    woken: bool,
    wait: Wait,
    parent: Option<RunId>,
    detached: bool,
    observed: bool,
    asked: Option<CancelRequest>,
    inbox: Vec<(u64, u8)>,
    places: u64,
    journal: Vec<u8>,
    snapshot: bool,
}

#[derive(Default)]
struct FamilyModel(BTreeMap<RunId, FamilyRun>);

const ENDED: [&str; 3] = ["succeeded", "failed", "cancelled"];

fn called(signal: u8) -> String {
    format!("s{signal}")
}

impl FamilyModel {
    fn has_ended(&self, id: RunId) -> bool {
        ENDED.contains(&self.0[&id].state)
    }

    fn children(&self, parent: RunId) -> Vec<RunId> {
        self.0.iter().filter(|(_, one)| one.parent == Some(parent)).map(|(id, _)| *id).collect()
    }

    fn open_children(&self, parent: RunId) -> usize {
        self.children(parent).into_iter().filter(|id| !self.0[id].detached && !self.has_ended(*id)).count()
    }

    fn holds(&self, one: &FamilyRun) -> bool {
        let Wait { any_of, all, until } = &one.wait;
        let came = |thing: &WaitCondition| match thing {
            WaitCondition::Signal(name) => one.inbox.iter().any(|(_, signal)| called(*signal) == *name),
            WaitCondition::Run(id) => self.has_ended(*id),
        };
        if any_of.is_empty() {
            return until.is_none();
        }
        if *all { any_of.iter().all(came) } else { any_of.iter().any(came) }
    }

    /// Marks the runs that can resume now.
    fn wake(&mut self) {
        let woken = |id: &RunId, one: &FamilyRun| {
            let notified_next = self.open_children(*id) == 0 && one.asked.is_some_and(|asked| !asked.notified);
            one.state == "suspended" && (notified_next || self.holds(one))
        };
        let woken: Vec<_> = self.0.iter().filter(|(id, one)| woken(id, one)).map(|(id, _)| *id).collect();
        for id in woken {
            self.one(id).woken = true;
        }
    }

    fn one(&mut self, id: RunId) -> &mut FamilyRun {
        self.0.get_mut(&id).expect("a run of the model")
    }

    /// Returns the claimable runs in the order of their claims.
    fn claimable(&self) -> Vec<RunId> {
        let ready = |one: &FamilyRun| one.state == "queued" || (one.state == "suspended" && one.woken);
        let mut ready: Vec<_> =
            self.0.iter().filter(|(_, one)| ready(one)).map(|(id, one)| (!one.begun, *id)).collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, id)| id).collect()
    }

    fn cancel(&mut self, id: RunId, terminate: bool) {
        if self.has_ended(id) {
            return;
        }
        let open = self.open_children(id);
        let one = self.one(id);
        let before = one.asked;
        let asked = CancelRequest {
            at: before.map_or(NOON, |asked| asked.at),
            terminate: terminate || before.is_some_and(|asked| asked.terminate),
            notified: before.is_some_and(|asked| asked.notified),
        };
        one.asked = Some(asked);
        let at_once = match one.state {
            "parked" => true,
            "queued" => asked.terminate || (one.journal.is_empty() && !one.snapshot && open == 0),
            "suspended" => asked.terminate,
            _ => false,
        };
        if at_once {
            one.state = "cancelled";
        }
        if at_once || before.is_none_or(|before| before.terminate != asked.terminate) {
            self.cancel_children(id, asked.terminate);
        }
    }

    fn cancel_children(&mut self, parent: RunId, terminate: bool) {
        for id in self.children(parent) {
            if !self.0[&id].detached {
                self.cancel(id, terminate);
            }
        }
    }

    fn retry(&mut self, id: RunId, from_start: bool) {
        let one = self.one(id);
        (one.state, one.asked, one.observed) = ("queued", None, false);
        if from_start {
            one.journal.clear();
            one.snapshot = false;
        }
        for child in self.children(id) {
            let one = &self.0[&child];
            if one.state == "parked" || (one.state == "failed" && (from_start || !one.observed)) {
                self.retry(child, false);
            }
        }
    }

    fn signal(&mut self, to: RunId, signal: u8) {
        if !self.has_ended(to) {
            let one = self.one(to);
            one.inbox.push((one.places, signal));
            one.places += 1;
        }
    }

    fn pick(&self, number: u8, in_state: Option<&str>) -> Option<RunId> {
        let fit: Vec<_> = self
            .0
            .iter()
            .filter(|(_, one)| in_state.is_none_or(|state| one.state == state))
            .map(|(id, _)| *id)
            .collect();
        (!fit.is_empty()).then(|| fit[usize::from(number) % fit.len()])
    }
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    sequences::compare("the store and the model differ", cases, empty, &prop::collection::vec(act(), 1..80), play);
}

async fn play(store: Arc<dyn Store>, acts: Vec<FamilyStep>) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let mut model = FamilyModel::default();
    let mut me = owner(&store).await;
    for act in acts {
        step(&store, &mut model, &mut me, act).await?;
        model.wake();
        check(&store, &model).await?;
    }
    Ok(())
}

fn queued(parent: Option<RunId>, detached: bool) -> FamilyRun {
    FamilyRun { state: "queued", parent, detached, ..FamilyRun::default() }
}

async fn step(
    store: &Arc<dyn Store>,
    model: &mut FamilyModel,
    me: &mut Owner,
    act: FamilyStep,
) -> Result<(), TestCaseError> {
    match act {
        FamilyStep::Request => {
            let new = new_run("a");
            model.0.insert(new.id, queued(None, false));
            store.request_run(new).await.map_err(failed)?;
        }
        FamilyStep::Claim => {
            let claimed = store.claim(me, &name("a"), 1, NOON).await.map_err(failed)?;
            let expected = model.claimable().first().copied();
            prop_assert_eq!(claimed.first().map(|claimed| claimed.run.id), expected);
            if let Some(id) = expected {
                let one = model.one(id);
                (one.state, one.begun, one.woken, one.wait) = ("running", true, false, Wait::default());
            }
        }
        FamilyStep::Signal { to, called: signal } => {
            let Some(to) = model.pick(to, None) else { return Ok(()) };
            model.signal(to, signal);
            let payload = Bytes::copy_from_slice(&[signal]);
            store.signal(NewSignal { to, name: called(signal), payload, key: None }, NOON).await.map_err(failed)?;
        }
        FamilyStep::Commit { run, leaves, then } => {
            let Some(id) = model.pick(run, Some("running")) else { return Ok(()) };
            commit(store, model, me, id, leaves, then).await?;
        }
        FamilyStep::Cancel { run, terminate } => {
            let Some(id) = model.pick(run, None) else { return Ok(()) };
            let ended = model.has_ended(id);
            prop_assert_eq!(store.request_cancel(id, terminate, NOON).await.is_err(), ended);
            model.cancel(id, terminate);
        }
        FamilyStep::Retry { run, from_start } => {
            let Some(id) = model.pick(run, None) else { return Ok(()) };
            let can = ["parked", "failed"].contains(&model.0[&id].state);
            let retry = RetryChange { component: None, from_start, now: NOON };
            prop_assert_eq!(store.retry_run(id, retry).await.is_ok(), can);
            if can {
                model.retry(id, from_start);
            }
        }
        FamilyStep::Restart => {
            *me = owner(store).await;
            let taken = store.take_over(me, RecoveryFilter::All, 1_000, NOON).await.map_err(failed)?;
            let running: Vec<_> = model.0.iter().filter(|(_, one)| one.state == "running").map(|(id, _)| *id).collect();
            prop_assert_eq!(taken.iter().map(|taken| taken.run.id).collect::<Vec<_>>(), running);
        }
    }
    Ok(())
}

async fn commit(
    store: &Arc<dyn Store>,
    model: &mut FamilyModel,
    me: &Owner,
    id: RunId,
    leaves: FamilyEffects,
    then: TransactionEnd,
) -> Result<(), TestCaseError> {
    let run = store.run(id).await.map_err(failed)?.expect("a run of the model");
    let mut commit = RunCommit::of(me.clone(), run.clone(), NOON);
    // The owner's copy contains a cancellation only if the owner was notified of it.
    commit.run.cancel = None;
    if leaves.notified
        && let Some(asked) = run.cancel
    {
        commit.run.cancel = Some(CancelRequest { notified: true, ..asked });
        model.one(id).asked = commit.run.cancel;
    }
    if let Some(name) = leaves.takes
        && let Some(at) = model.0[&id].inbox.iter().position(|(_, signal)| *signal == name)
    {
        commit.taken = vec![model.one(id).inbox.remove(at).0];
    }
    if let Some((from, chunks)) = leaves.journal {
        let journal = &mut model.one(id).journal;
        journal.truncate(usize::from(from) % (journal.len() + 1));
        let from = u32::try_from(journal.len()).unwrap_or_default();
        journal.extend(&chunks);
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(&[*chunk])).collect();
        commit.journal = Some(JournalChange { from, chunks });
    }
    commit.snapshot = leaves.snapshot.then(|| Bytes::from_static(b"h"));
    model.one(id).snapshot = leaves.snapshot;
    let known = model.children(id);
    if leaves.observes {
        commit.observed = known.iter().copied().filter(|child| model.has_ended(*child)).collect();
        for child in &commit.observed {
            model.one(*child).observed = true;
        }
    }
    let mut started = None;
    if let Some(detached) = leaves.starts {
        let new = NewRun { detached, ..child(&run, "a") };
        model.0.insert(new.id, queued(Some(id), detached));
        started = Some(new.id);
        commit.starts = vec![new];
    }
    let event = match then {
        TransactionEnd::Continues => None,
        TransactionEnd::Waits { signals, children, all, timed } => {
            let signals = signals.iter().map(|signal| WaitCondition::Signal(called(*signal)));
            let family = model.children(id);
            let pick = |number: &u8| WaitCondition::Run(family[usize::from(*number) % family.len()]);
            let any_of = signals.chain(children.iter().filter(|_| !family.is_empty()).map(pick)).collect();
            let wait = Wait { any_of, all, until: timed.then(|| later(1_000)) };
            commit.run.waiting_for = Some(wait.clone());
            let one = model.one(id);
            (one.state, one.wait) = ("suspended", wait);
            Some(RunEvent::Suspended)
        }
        TransactionEnd::Ends(how) => {
            let (state, event) = match how % 5 {
                0 => ("succeeded", RunEvent::Succeeded),
                1 => ("failed", RunEvent::Failed(failure())),
                2 => ("parked", RunEvent::Parked(failure())),
                3 => ("cancelled", RunEvent::Cancelled),
                _ => ("queued", RunEvent::Requeued { not_before: NOON }),
            };
            model.one(id).state = state;
            Some(event)
        }
    };
    if let Some(event) = event {
        commit.run.state = run.state.next(event).map_err(|e| TestCaseError::fail(e.to_string()))?;
        commit.run.ended_at = commit.run.state.has_ended().then_some(NOON);
    }
    if let Some((to, signal)) = leaves.sends
        && let Some(to) = model.pick(to, None)
    {
        let payload = Bytes::copy_from_slice(&[signal]);
        commit.signals = vec![NewSignal { to, name: called(signal), payload, key: None }];
        model.signal(to, signal);
    }
    if let Some(target) = leaves.cancels.and_then(|number| model.pick(number, None)) {
        commit.cancels = vec![target];
        model.cancel(target, false);
    }
    if let Some(asked) = model.0[&id].asked {
        if let Some(child) = started.filter(|child| !model.0[child].detached) {
            model.cancel(child, asked.terminate);
        }
        if model.0[&id].state == "parked" {
            model.cancel(id, false);
        }
    }
    // The commit's effects come before the effects of the run's end on its children.
    if model.has_ended(id) {
        model.cancel_children(id, model.0[&id].asked.is_some_and(|asked| asked.terminate));
    }
    let answer = store.commit_run(commit).await.map_err(failed)?;
    prop_assert!(matches!(answer, RunCommitResult::Done(_)), "{:?}", answer);
    Ok(())
}

async fn check(store: &Arc<dyn Store>, model: &FamilyModel) -> Result<(), TestCaseError> {
    let mut more = true;
    while more {
        more = store.drain_cancels(100, NOON).await.map_err(failed)?.0;
    }
    for (id, one) in &model.0 {
        let run: Run = store.run(*id).await.map_err(failed)?.expect("a run of the model");
        prop_assert_eq!(run.state.name(), one.state);
        if run.state.has_ended() {
            // A run that is cancelled twice in one commit ends with the first request.
            prop_assert_eq!(run.cancel.is_some(), one.asked.is_some());
        } else {
            prop_assert_eq!(run.cancel, one.asked);
        }
        let journal = store.journal(*id).await.map_err(failed)?;
        prop_assert_eq!(journal.chunks.concat(), one.journal.clone());
        prop_assert_eq!(journal.snapshot.is_some(), one.snapshot);
        for signal in 0..2 {
            let first = store.inbox(*id, &called(signal), None).await.map_err(failed)?.map(|signal| signal.place);
            let expected = one.inbox.iter().find(|(_, lying)| *lying == signal).map(|(place, _)| *place);
            prop_assert_eq!(first, expected);
        }
        let children = store.children(*id, PageRequest::first(1_000)).await.map_err(failed)?.items;
        prop_assert_eq!(children.iter().map(|child| child.id).collect::<Vec<_>>(), model.children(*id));
    }
    let queued = model.0.values().filter(|one| one.state == "queued").count();
    prop_assert_eq!(store.queue_length(&name("a")).await.map_err(failed)?, queued as u64);
    prop_assert_eq!(store.queued(&name("a"), 1_000).await.map_err(failed)?, model.claimable().len());
    Ok(())
}
