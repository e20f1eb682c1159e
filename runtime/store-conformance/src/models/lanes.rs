//! Random sequences of runs in lanes, on the store and on a model that keeps each lane as two
//! lists.
//!
//! After each step no lane exceeds its capacity, waiting runs enter in the order in which they
//! asked, and the claimable runs are exactly those that are in all their lanes. In the end every
//! run finishes: none is forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::ids::Owner;
use tidemill_core::lane::Lane;
use tidemill_core::run::{Run, RunEvent, Wait, WaitCondition};
use tidemill_core::{RunId, Timestamp};

use crate::Factory;
use crate::fixture::{NOON, deploy, failure, name, new_run, owner};
use crate::runs::lanes::key;
use crate::sequences::{self, failed};
use tidemill_store::Store;
use tidemill_store::records::{NewRun, RecoveryFilter, RetryChange, RunCommit};

const KEYS: [(&str, u32); 2] = [("one", 1), ("two", 2)];
/// The second lanes that a run may have, with their capacities.
const OTHERS: [(&str, u32); 2] = [("x", 1), ("y", 3)];
/// Length of a delay or a back-off, and of a step of time, in milliseconds.
const DELAY: u64 = 100;

#[derive(Debug, Clone)]
enum LaneStep {
    Request { key: Option<u8>, other: Option<u8>, delayed: bool },
    Claim(usize),
    Moves { run: u8, to: To, snapshot: bool },
    Cancel { run: u8, terminate: bool },
    Retry { run: u8 },
    Time,
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum To {
    Queued { delayed: bool },
    Suspended,
    Succeeded,
    Failed,
    Parked,
    Cancelled,
}

fn act() -> impl Strategy<Value = LaneStep> {
    let of = |most: u8| prop::option::weighted(0.7, 0..most);
    let to = prop_oneof![
        2 => any::<bool>().prop_map(|delayed| To::Queued { delayed }),
        2 => Just(To::Suspended),
        3 => Just(To::Succeeded),
        2 => Just(To::Failed),
        3 => Just(To::Parked),
        1 => Just(To::Cancelled),
    ];
    prop_oneof![
        6 => (of(2), of(2), prop::bool::weighted(0.2))
            .prop_map(|(key, other, delayed)| LaneStep::Request { key, other, delayed }),
        5 => (1_usize..4).prop_map(LaneStep::Claim),
        7 => (any::<u8>(), to, any::<bool>()).prop_map(|(run, to, snapshot)| LaneStep::Moves { run, to, snapshot }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(run, terminate)| LaneStep::Cancel { run, terminate }),
        3 => any::<u8>().prop_map(|run| LaneStep::Retry { run }),
        1 => Just(LaneStep::Time),
        1 => Just(LaneStep::Restart),
    ]
}

/// The list that has a queued or suspended run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListKind {
    Nowhere,
    Delayed(Timestamp),
    Waits,
    Ready,
}

#[derive(Debug, Clone)]
struct ModelRun {
    record: Run,
    state: &'static str,
    listed: ListKind,
    begun: bool,
    snapshot: bool,
    asked: bool,
    terminate: bool,
    notified: bool,
    /// For each of the run's lanes, whether the run is in it.
    inside: Vec<bool>,
}

/// A lane: the runs in it, and the waiting runs in order.
#[derive(Debug, Default)]
struct Queue {
    inside: Vec<RunId>,
    waiting: Vec<RunId>,
}

struct LaneModel {
    runs: BTreeMap<RunId, ModelRun>,
    lanes: BTreeMap<String, Queue>,
    now: Timestamp,
    me: Owner,
}

const ENDED: [&str; 3] = ["succeeded", "failed", "cancelled"];

impl LaneModel {
    fn one(&mut self, id: RunId) -> &mut ModelRun {
        self.runs.get_mut(&id).expect("a run of the model")
    }

    fn lanes_of(&self, id: RunId) -> Vec<Lane> {
        self.runs[&id].record.lanes.clone()
    }

    /// Queues a run that may be admitted from `due`.
    fn queue(&mut self, id: RunId, due: Timestamp) {
        self.one(id).state = "queued";
        if due > self.now {
            self.one(id).listed = ListKind::Delayed(due);
        } else {
            self.ask(id);
        }
    }

    fn ask(&mut self, id: RunId) {
        for (at, lane) in self.lanes_of(id).into_iter().enumerate() {
            if self.runs[&id].inside[at] {
                continue;
            }
            let queue = self.lanes.entry(lane.name).or_default();
            if !queue.waiting.is_empty() || queue.inside.len() >= lane.capacity as usize {
                queue.waiting.push(id);
                self.one(id).listed = ListKind::Waits;
                return;
            }
            queue.inside.push(id);
            self.one(id).inside[at] = true;
        }
        self.one(id).listed = ListKind::Ready;
    }

    /// Changes a run's state. An ended run leaves its lanes, and others enter.
    fn moved(&mut self, id: RunId, state: &'static str) {
        let one = self.one(id);
        one.state = state;
        one.listed = ListKind::Nowhere;
        for (at, lane) in self.lanes_of(id).into_iter().enumerate() {
            if !ENDED.contains(&state) {
                continue;
            }
            self.one(id).inside[at] = false;
            let queue = self.lanes.entry(lane.name.clone()).or_default();
            queue.inside.retain(|other| *other != id);
            queue.waiting.retain(|other| *other != id);
            while let Some(next) = self.next_in(&lane) {
                self.ask(next);
            }
        }
    }

    fn next_in(&mut self, lane: &Lane) -> Option<RunId> {
        let queue = self.lanes.get_mut(&lane.name)?;
        if queue.inside.len() >= lane.capacity as usize || queue.waiting.is_empty() {
            return None;
        }
        let next = queue.waiting.remove(0);
        queue.inside.push(next);
        let one = self.one(next);
        let at = one.record.lanes.iter().position(|of| of.name == lane.name).expect("its lane");
        one.inside[at] = true;
        Some(next)
    }

    /// Lets due delayed runs ask for their lanes, in order of time.
    fn promote(&mut self) {
        let due = self.runs.iter().filter_map(|(id, one)| match one.listed {
            ListKind::Delayed(due) if due <= self.now => Some((due, *id)),
            _ => None,
        });
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        for (_, id) in due {
            self.ask(id);
        }
    }

    fn claimable(&self) -> Vec<RunId> {
        let ready = self.runs.iter().filter(|(_, one)| one.listed == ListKind::Ready);
        let mut ready: Vec<_> = ready.map(|(id, one)| (!one.begun, *id)).collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, id)| id).collect()
    }

    fn pick(&self, number: u8, states: &[&str]) -> Option<RunId> {
        let found: Vec<_> =
            self.runs.iter().filter(|(_, one)| states.contains(&one.state)).map(|(id, _)| *id).collect();
        (!found.is_empty()).then(|| found[usize::from(number) % found.len()])
    }
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    let acts = prop::collection::vec(act(), 1..80);
    sequences::compare("the store's lanes and the model's differ", cases, empty, &acts, play);
}

async fn play(store: Arc<dyn Store>, acts: Vec<LaneStep>) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let me = owner(&store).await;
    let mut model = LaneModel { runs: BTreeMap::new(), lanes: BTreeMap::new(), now: NOON, me };
    for act in acts {
        step(&store, &mut model, act).await?;
        check(&store, &model).await?;
    }
    // Every run finishes.
    for _ in 0..2 * model.runs.len() + 2 {
        model.now = model.now.plus_millis(2 * DELAY);
        // A run that waits for something that never comes would keep its lanes.
        while let Some(id) = model.pick(0, &["suspended"]) {
            step_cancel(&store, &mut model, id, true).await?;
        }
        while let Some(id) = model.pick(0, &["parked"]) {
            retry(&store, &mut model, id).await?;
        }
        claim(&store, &mut model, 1_000).await?;
        while let Some(id) = model.pick(0, &["running"]) {
            moves(&store, &mut model, id, To::Succeeded, false).await?;
        }
        check(&store, &model).await?;
    }
    let left = model.runs.values().filter(|one| !ENDED.contains(&one.state)).count();
    prop_assert_eq!(left, 0, "runs that are forgotten");
    Ok(())
}

async fn step(store: &Arc<dyn Store>, model: &mut LaneModel, act: LaneStep) -> Result<(), TestCaseError> {
    match act {
        LaneStep::Request { key: of, other, delayed } => {
            let keyed = of.map(|of| KEYS[usize::from(of)]).map(|(of, capacity)| key(of, capacity));
            let second = other.map(|of| OTHERS[usize::from(of)]).map(|(of, capacity)| key(of, capacity));
            let not_before = if delayed { model.now.plus_millis(DELAY) } else { model.now };
            let lanes = second.into_iter().chain(keyed).collect();
            let new = NewRun { now: model.now, not_before, lanes, ..new_run("a") };
            store.request_run(new.clone()).await.map_err(failed)?;
            let record = new.to_run();
            let inside = vec![false; record.lanes.len()];
            let one = ModelRun {
                record,
                state: "queued",
                listed: ListKind::Nowhere,
                begun: false,
                snapshot: false,
                asked: false,
                terminate: false,
                notified: false,
                inside,
            };
            model.runs.insert(new.id, one);
            model.queue(new.id, not_before);
        }
        LaneStep::Claim(limit) => claim(store, model, limit).await?,
        LaneStep::Moves { run, to, snapshot } => {
            if let Some(id) = model.pick(run, &["running"]) {
                moves(store, model, id, to, snapshot).await?;
            }
        }
        LaneStep::Cancel { run, terminate } => {
            if let Some(id) = model.pick(run, &["queued", "running", "suspended", "parked"]) {
                step_cancel(store, model, id, terminate).await?;
            }
        }
        LaneStep::Retry { run } => {
            if let Some(id) = model.pick(run, &["parked", "failed"]) {
                retry(store, model, id).await?;
            }
        }
        LaneStep::Time => model.now = model.now.plus_millis(DELAY),
        LaneStep::Restart => {
            model.me = owner(store).await;
            let taken = store.take_over(&model.me, RecoveryFilter::All, 1_000, model.now).await.map_err(failed)?;
            let running = model.runs.values().filter(|one| one.state == "running").count();
            prop_assert_eq!(taken.len(), running);
            for taken in taken {
                let id = taken.run.id;
                model.one(id).record = taken.run;
            }
        }
    }
    Ok(())
}

async fn step_cancel(
    store: &Arc<dyn Store>,
    model: &mut LaneModel,
    id: RunId,
    terminate: bool,
) -> Result<(), TestCaseError> {
    store.request_cancel(id, terminate, model.now).await.map_err(failed)?;
    let one = model.one(id);
    one.asked = true;
    one.terminate |= terminate;
    match one.state {
        "running" => {}
        "queued" | "suspended" if !one.terminate && (one.snapshot || one.state == "suspended") => {
            // The run is notified at its next claim, and still waits for its lanes.
            if one.listed != ListKind::Waits && !one.notified {
                model.ask(id);
            }
        }
        _ => model.moved(id, "cancelled"),
    }
    Ok(())
}

async fn claim(store: &Arc<dyn Store>, model: &mut LaneModel, limit: usize) -> Result<(), TestCaseError> {
    let claimed = store.claim(&model.me, &name("a"), limit, model.now).await.map_err(failed)?;
    model.promote();
    let expected: Vec<_> = model.claimable().into_iter().take(limit).collect();
    prop_assert_eq!(claimed.iter().map(|claimed| claimed.run.id).collect::<Vec<_>>(), expected);
    for claimed in claimed {
        let one = model.one(claimed.run.id);
        (one.state, one.listed, one.begun) = ("running", ListKind::Nowhere, true);
        one.record = claimed.run;
    }
    Ok(())
}

async fn retry(store: &Arc<dyn Store>, model: &mut LaneModel, id: RunId) -> Result<(), TestCaseError> {
    let retry = RetryChange { component: None, from_start: false, now: model.now };
    store.retry_run(id, retry).await.map_err(failed)?;
    let one = model.one(id);
    (one.asked, one.terminate, one.notified) = (false, false, false);
    model.queue(id, model.now);
    Ok(())
}

async fn moves(
    store: &Arc<dyn Store>,
    model: &mut LaneModel,
    id: RunId,
    to: To,
    snapshot: bool,
) -> Result<(), TestCaseError> {
    let now = model.now;
    let (event, state) = match to {
        To::Queued { delayed } => {
            let not_before = if delayed { now.plus_millis(DELAY) } else { now };
            (RunEvent::Requeued { not_before }, "queued")
        }
        To::Suspended => (RunEvent::Suspended, "suspended"),
        To::Succeeded => (RunEvent::Succeeded, "succeeded"),
        To::Failed => (RunEvent::Failed(failure()), "failed"),
        To::Parked => (RunEvent::Parked(failure()), "parked"),
        To::Cancelled => (RunEvent::Cancelled, "cancelled"),
    };
    let one = model.one(id);
    one.snapshot = snapshot;
    let mut run = one.record.clone();
    run.state = run.state.next(event.clone()).map_err(failed)?;
    // The run was notified of its cancellation.
    if one.asked
        && let Some(cancel) = &mut run.cancel
    {
        cancel.notified = true;
    }
    one.notified |= one.record.cancel.is_some();
    if matches!(to, To::Suspended) {
        let never = WaitCondition::Signal("never".into());
        run.waiting_for = Some(Wait { any_of: vec![never], all: false, until: None });
    }
    let (asked, notified) = (one.asked, one.notified);
    one.record = run.clone();
    let mut commit = RunCommit::of(model.me.clone(), run, now);
    commit.snapshot = snapshot.then(|| Bytes::from_static(b"head"));
    store.commit_run(commit).await.map_err(failed)?;
    match to {
        // A run that was cancelled while it ran, and was not notified, is notified as soon as it
        // waits.
        To::Suspended => {
            model.moved(id, state);
            if asked && !notified {
                model.ask(id);
            }
        }
        To::Queued { delayed } => {
            // A run that has to be notified is not delayed; one that was notified waits like any
            // other.
            let due = if delayed && (!asked || notified) { now.plus_millis(DELAY) } else { now };
            model.moved(id, state);
            model.queue(id, due);
        }
        To::Parked if asked => {
            model.moved(id, "parked");
            model.moved(id, "cancelled");
        }
        _ => model.moved(id, state),
    }
    Ok(())
}

async fn check(store: &Arc<dyn Store>, model: &LaneModel) -> Result<(), TestCaseError> {
    for lane in KEYS.iter().chain(&OTHERS).map(|(of, capacity)| key(of, *capacity)) {
        let view = store.lane(&name("a"), &lane.name, 1_000).await.map_err(failed)?;
        prop_assert!(view.held <= lane.capacity, "{:?} holds {}", lane, view.held);
        prop_assert_eq!((view.held as usize, view.waiting as usize), (view.in_it.len(), view.next.len()));
        let empty = Queue::default();
        let expected = model.lanes.get(&lane.name).unwrap_or(&empty);
        let mut inside = expected.inside.clone();
        inside.sort_unstable();
        prop_assert_eq!(&view.in_it, &inside, "in {:?}", &lane);
        prop_assert_eq!(&view.next, &expected.waiting, "waiting for {:?}", &lane);
    }
    let queued = model.runs.values().filter(|one| one.state == "queued").count();
    prop_assert_eq!(store.queue_length(&name("a")).await.map_err(failed)?, queued as u64);
    for (id, one) in &model.runs {
        let run = store.run(*id).await.map_err(failed)?;
        prop_assert_eq!(run.map(|run| run.state.name()), Some(one.state));
    }
    Ok(())
}
