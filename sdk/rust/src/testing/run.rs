//! One run on the simulated host: its journal, its layers, its clock, and what survives a crash.
//! The functions of the contract are in `host`, and the transitions between guests in `drive`.

use super::failure::{cancelled, is_cancelled};
use super::journal::{Journal, Mismatch, Replay, StepEntry};
use super::layer::Layer;
use super::limits::Usage;
use super::setup::Setup;
use super::world::{Child, StartedRun, World};
use crate::bindings::imports::tidemill::guest::durable::WaitFor;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use tidemill_core::Failure;
use tidemill_core::retry::RetryPolicy;

/// The reason why a guest ended without returning. An unwinding that no hook prints carries it.
pub(super) enum Exit {
    Crash,
    ContinuesAsNew(String),
    WaitsForEver(Vec<WaitFor>),
    Mismatch(Mismatch),
    /// The host stopped the guest.
    Stopped(Failure),
}

/// Leaves the module by unwinding.
pub(super) fn leave(why: Exit) -> ! {
    std::panic::resume_unwind(Box::new(why))
}

/// A planned crash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    /// The number of entries after which it happens.
    pub(super) after: u64,
    /// Whether everything since the last commit is lost. Otherwise everything up to there was
    /// saved.
    pub(super) lost: bool,
}

/// The state from which a new guest continues.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) journal: Journal,
    /// The layers of the transaction and of each open step.
    pub(super) layers: Vec<Layer>,
    pub(super) now: u64,
    /// The number of requests per route. A request that is sent again after a crash gets the same
    /// answer.
    pub(super) asked: BTreeMap<usize, u32>,
    pub(super) used: Usage,
}

pub(super) struct RunState {
    pub(super) generation: u32,
    pub(super) attempt: u32,
    pub(super) now: u64,
    pub(super) replay: Replay,
    pub(super) layers: Vec<Layer>,
    pub(super) used: Usage,
    /// Equal requests per open step, and random bytes drawn there. Both restart with each attempt
    /// of the step.
    counts: Vec<Counts>,
    /// The retry policies of the open steps, from the outermost to the innermost.
    pub(super) open_steps: Vec<RetryPolicy>,
    pub(super) notified: bool,
    /// The number of entries over all attempts and generations.
    pub(super) recorded: u64,
    pub(super) crash: Option<Crash>,
    pub(super) durable: Snapshot,
    /// The state from which a retry continues.
    pub(super) keep: Snapshot,
    /// The same at the time of `durable`.
    durable_keep: Snapshot,
}

#[derive(Default)]
struct Counts {
    sent: BTreeMap<String, u32>,
    started: BTreeMap<String, u32>,
    drawn: u64,
}

/// A run and its surroundings.
pub(super) struct Fake {
    pub(super) setup: Rc<Setup>,
    pub(super) world: Rc<RefCell<World>>,
    pub(super) id: String,
    pub(super) deployment: String,
    pub(super) parent: Option<String>,
    pub(super) created_at: u64,
    /// The time of a planned cancellation. Scripted signals of a later time are already in the
    /// inbox, with their time.
    pub(super) cancel_at: Cell<Option<u64>>,
    /// The number of entries after which a cancellation arrives.
    pub(super) cancel_after: Option<u64>,
    pub(super) run: RefCell<RunState>,
}

impl Fake {
    pub(super) fn new(
        setup: Rc<Setup>,
        world: Rc<RefCell<World>>,
        id: String,
        deployment: String,
        parent: Option<String>,
        now: u64,
    ) -> Self {
        let saved = Snapshot { layers: vec![Layer::default()], now, ..Snapshot::default() };
        let run = RunState {
            generation: 1,
            attempt: 1,
            now,
            replay: Replay::of(Journal::default()),
            layers: saved.layers.clone(),
            used: Usage::default(),
            counts: vec![Counts::default()],
            open_steps: Vec::new(),
            notified: false,
            recorded: 0,
            crash: None,
            durable: saved.clone(),
            keep: saved.clone(),
            durable_keep: saved,
        };
        Self {
            setup,
            world,
            id,
            deployment,
            parent,
            created_at: now,
            cancel_at: Cell::new(None),
            cancel_after: None,
            run: RefCell::new(run),
        }
    }

    /// Starts a new guest from the saved state.
    pub(super) fn begin(&self, from: &Snapshot) {
        let mut run = self.run.borrow_mut();
        run.replay = Replay::of(from.journal.clone());
        run.layers = from.layers.clone();
        run.now = from.now;
        run.used = from.used;
        run.notified = false;
        run.open_steps.clear();
        run.counts = vec![Counts::default()];
    }

    /// Returns the state after a crash.
    pub(super) fn crashed(&self) -> Snapshot {
        let mut run = self.run.borrow_mut();
        run.keep = run.durable_keep.clone();
        self.world.borrow_mut().asked = run.durable.asked.clone();
        run.durable.clone()
    }

    /// Keeps the requests of other runs, which do not repeat them after a crash of this run.
    pub(super) fn asked_by_others(&self) {
        self.run.borrow_mut().durable.asked = self.world.borrow().asked.clone();
    }

    pub(super) fn now(&self) -> u64 {
        self.run.borrow().now
    }

    /// Moves the clock forward, never backward.
    pub(super) fn pass_to(&self, at: u64) {
        let mut run = self.run.borrow_mut();
        run.now = run.now.max(at);
    }

    /// A call that cannot fail: replayed, or executed and recorded.
    pub(super) fn call<T: Serialize + DeserializeOwned>(
        &self,
        kind: &str,
        request: &str,
        live: impl FnOnce() -> T,
    ) -> T {
        let met = self.run.borrow_mut().replay.call(kind, request);
        match met {
            Err(mismatch) => leave(Exit::Mismatch(mismatch)),
            Ok(Some((result, at))) => {
                self.pass_to(at);
                match serde_json::from_value(result) {
                    Ok(result) => result,
                    Err(why) => leave(Exit::Mismatch(Mismatch {
                        entry: 0,
                        steps: Vec::new(),
                        recorded: format!("an answer to `{kind}` that is not valid: {why}"),
                        called: format!("`{kind} {request}`"),
                    })),
                }
            }
            Ok(None) => {
                let result = live();
                self.record(kind, request, &result);
                result
            }
        }
    }

    /// A call that can fail. The first one after a cancellation returns it.
    pub(super) fn fallible<T: Serialize + DeserializeOwned>(
        &self,
        kind: &str,
        request: &str,
        live: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = self.call(kind, request, || if self.must_be_notified() { Err(cancelled()) } else { live() });
        if let Err(failed) = &result {
            self.hear(failed);
        }
        result
    }

    /// Whether the next call that can fail returns the cancellation.
    pub(super) fn must_be_notified(&self) -> bool {
        let run = self.run.borrow();
        let by_time = self.cancel_at.get().is_some_and(|at| at <= run.now);
        let by_entry = self.cancel_after.is_some_and(|after| after <= run.recorded);
        !run.notified && (by_time || by_entry)
    }

    /// Marks a returned cancellation as received. It is returned once.
    pub(super) fn hear(&self, failed: &Failure) {
        if is_cancelled(failed) {
            self.run.borrow_mut().notified = true;
        }
    }

    fn record<T: Serialize>(&self, kind: &str, request: &str, result: &T) {
        let mut run = self.run.borrow_mut();
        let now = run.now;
        run.replay.record(kind, request, serde_json::to_value(result).unwrap_or_default(), now);
        drop(run);
        self.recorded();
    }

    /// Counts an entry in the journal, and crashes here if a crash is planned.
    pub(super) fn recorded(&self) {
        let mut run = self.run.borrow_mut();
        run.recorded += 1;
        let Some(crash) = run.crash.filter(|crash| crash.after == run.recorded) else { return };
        run.crash = None;
        if !crash.lost {
            run.make_durable(&self.world.borrow());
        }
        drop(run);
        leave(Exit::Crash);
    }

    /// Makes the recorded entries durable without a commit.
    pub(super) fn save(&self) {
        self.run.borrow_mut().make_durable(&self.world.borrow());
    }

    /// Commits everything outside steps and makes it durable.
    pub(super) fn commit(&self) {
        let mut run = self.run.borrow_mut();
        let layer = std::mem::take(&mut run.layers[0]);
        self.world.borrow_mut().commit(&self.id, &self.deployment, run.now, layer);
        if run.replay.depth() == 0 {
            run.keep = run.saved();
        }
        run.make_durable(&self.world.borrow());
    }

    /// Saves the state from which a retry continues, if no step is open and the run is not
    /// replaying.
    pub(super) fn keep(&self) {
        let mut run = self.run.borrow_mut();
        if run.replay.depth() == 0 && run.replay.is_live() {
            run.keep = run.saved();
        }
    }

    /// Changes the innermost layer.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Layer) -> T) -> T {
        let mut run = self.run.borrow_mut();
        if run.layers.is_empty() {
            run.layers.push(Layer::default());
        }
        let last = run.layers.len() - 1;
        change(&mut run.layers[last])
    }

    /// Returns the input with which a run of that id was started.
    pub(super) fn started_input(&self, id: &str) -> Option<Value> {
        let find = |mut starts: std::slice::Iter<'_, StartedRun>| {
            starts.find(|start| start.id == id).map(|start| start.input.clone())
        };
        let own = self.run.borrow().layers.iter().find_map(|layer| find(layer.starts.iter()));
        let is_it = |child: &&Child| child.started.id == id;
        own.or_else(|| self.world.borrow().children.iter().find(is_it).map(|child| child.started.input.clone()))
    }

    /// Whether it has started that run, or its transaction starts it.
    pub(super) fn starts(&self, id: &str) -> bool {
        let own = self.run.borrow().layers.iter().any(|layer| layer.starts.iter().any(|it| it.id == id));
        own || self.world.borrow().children.iter().any(|child| child.started.id == id && child.parent == self.id)
    }

    pub(super) fn in_step(&self) -> bool {
        self.run.borrow().replay.depth() > 0
    }

    pub(super) fn is_live(&self) -> bool {
        self.run.borrow().replay.is_live()
    }

    pub(super) fn begin_step(&self, name: &str) -> StepEntry {
        let begun = self.run.borrow_mut().replay.begin_step(name);
        match begun {
            Err(mismatch) => leave(Exit::Mismatch(mismatch)),
            Ok(begun) => begun,
        }
    }

    /// Opens the layer of a new or repeated step.
    pub(super) fn opened(&self, is_new: bool) {
        let mut run = self.run.borrow_mut();
        run.counts.push(Counts::default());
        // A step that was open at the crash keeps its layer.
        if is_new {
            run.layers.push(Layer::default());
        }
    }

    /// Starts the next attempt of the innermost step and drops the effects of the previous attempt.
    pub(super) fn attempt_again(&self, attempt: u32) {
        let mut run = self.run.borrow_mut();
        let (now, depth) = (run.now, run.replay.depth());
        run.replay.again(attempt, now);
        run.counts.truncate(depth);
        run.counts.push(Counts::default());
        while run.layers.len() > depth.max(1)
            && let Some(dropped) = run.layers.pop()
            && let Some(below) = run.layers.last_mut()
        {
            dropped.dropped_into(below);
        }
        run.layers.push(Layer::default());
        drop(run);
        self.recorded();
    }

    /// Ends the innermost step.
    pub(super) fn end_step(&self, outcome: Result<String, Failure>) {
        let mut run = self.run.borrow_mut();
        let (now, depth) = (run.now, run.replay.depth());
        run.counts.truncate(depth);
        run.layers.truncate(depth + 1);
        if run.layers.len() > 1
            && let Some(layer) = run.layers.pop()
            && let Some(below) = run.layers.last_mut()
        {
            if outcome.is_ok() { below.merge(layer) } else { layer.dropped_into(below) }
        }
        run.replay.end_step(outcome, now);
        drop(run);
        // Before a possible crash, because what a retry keeps must not depend on a crash.
        self.keep();
        self.recorded();
    }

    /// Counts from 1 among equal requests in the attempt of the innermost step.
    pub(super) fn nth_sent(&self, request: &str) -> u32 {
        self.counted(|counts| counts.sent.entry(request.to_owned()).or_default())
    }

    /// Counts from 1 among equal starts.
    pub(super) fn nth_started(&self, start: &str) -> u32 {
        self.counted(|counts| counts.started.entry(start.to_owned()).or_default())
    }

    fn counted(&self, which: impl FnOnce(&mut Counts) -> &mut u32) -> u32 {
        let mut run = self.run.borrow_mut();
        let last = run.counts.len() - 1;
        let count = which(&mut run.counts[last]);
        *count += 1;
        *count
    }

    /// Returns the next random bytes of the innermost step's stream. The journal does not record
    /// them, because they are the same in every attempt.
    pub(super) fn draw(&self, len: usize) -> Vec<u8> {
        let mut run = self.run.borrow_mut();
        let seed = hash(&format!("{} {} {:?}", self.id, run.generation, run.replay.path()));
        let last = run.counts.len() - 1;
        let counts = &mut run.counts[last];
        let byte = |place: u64| mix(seed ^ (place / 8)).to_le_bytes()[(place % 8) as usize];
        let bytes = (counts.drawn..).take(len).map(byte).collect();
        counts.drawn += len as u64;
        bytes
    }
}

impl RunState {
    pub(super) fn saved(&self) -> Snapshot {
        let (journal, layers) = (self.replay.journal.clone(), self.layers.clone());
        Snapshot { journal, layers, now: self.now, asked: BTreeMap::new(), used: self.used }
    }

    /// Sets the state from which a retry, and a crash in it, continues.
    pub(super) fn attempt_from(&mut self, from: &Snapshot, world: &World) {
        (self.durable, self.keep, self.durable_keep) = (from.clone(), from.clone(), from.clone());
        self.durable.asked = world.asked.clone();
    }

    fn make_durable(&mut self, world: &World) {
        self.durable = Snapshot { asked: world.asked.clone(), ..self.saved() };
        self.durable_keep = self.keep.clone();
    }

    /// Starts the next generation with empty state at the current time.
    pub(super) fn next_generation(&mut self) -> Snapshot {
        let asked = self.durable.asked.clone();
        let saved = Snapshot { layers: vec![Layer::default()], now: self.now, asked, ..Snapshot::default() };
        (self.generation, self.attempt) = (self.generation + 1, 1);
        (self.durable, self.keep, self.durable_keep) = (saved.clone(), saved.clone(), saved.clone());
        saved
    }
}

/// FNV-1a, 64 bits.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One number of SplitMix64 (Steele, Lea, Flood 2014). It looks random enough for a test, and is
/// used only there.
fn mix(place: u64) -> u64 {
    let mut z = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
