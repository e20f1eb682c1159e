//! The journal of one generation: calls with their answers, and steps with their contents. It
//! replays its entries and then records. Does not execute calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use tidemill_core::Failure;

/// A recorded run for replay: its input and the journal of its last generation. Store it as a file
/// with the tests. A change that open runs would not survive then shows as a [`Mismatch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub(super) input: Value,
    pub(super) generation: u32,
    pub(super) journal: Journal,
}

impl Recording {
    /// Reads a file that [`Recording::save`] wrote.
    ///
    /// # Errors
    /// The file does not exist or is not a recording.
    pub fn load(path: impl AsRef<Path>) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes the recording as JSON, to be stored with the sources.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text)
    }

    /// Returns the recording after its first `count` calls and steps outside a step, as if the run
    /// were still open.
    #[must_use]
    pub fn cut(mut self, count: usize) -> Self {
        self.journal.records.truncate(count);
        self
    }

    /// Returns the number of calls and steps outside a step.
    #[must_use]
    pub fn len(&self) -> usize {
        self.journal.records.len()
    }

    /// Whether there is nothing to replay.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.journal.records.is_empty()
    }
}

/// A replay that made a different call than the recorded one. A host parks such a run with
/// `host/journal-mismatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The position, from 1, among the entries of the step, or of the run outside all steps.
    pub entry: usize,
    /// The open steps, from the outermost to the innermost.
    pub steps: Vec<String>,
    /// The recorded call.
    pub recorded: String,
    /// The call that was made.
    pub called: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}", self.entry)?;
        for step in self.steps.iter().rev() {
            write!(f, " of step `{step}`")?;
        }
        write!(f, ": recorded {}, called {}", self.recorded, self.called)
    }
}

impl std::error::Error for Mismatch {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Record {
    #[serde(rename = "call")]
    Call(Call),
    #[serde(rename = "step")]
    Step(Step),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Call {
    kind: String,
    request: String,
    result: Value,
    at: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    name: String,
    ordinal: u32,
    attempt: u32,
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Result<String, Failure>>,
    /// The entries of the current attempt; dropped when it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inner: Vec<Rc<Record>>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "`{} {}`", call.kind, call.request),
            Self::Step(step) => write!(f, "step `{}`", step.name),
        }
    }
}

/// The recorded entries, without the position of a replay. Clones share the records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Journal {
    records: Vec<Rc<Record>>,
}

impl Journal {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}

/// The position of a replay: one for the run, and one per open step.
#[derive(Clone, Debug, Default)]
struct Frame {
    /// The record of the step in the enclosing frame; not used for the run's own frame.
    place: usize,
    /// The first record that was not replayed yet.
    next: usize,
    ordinals: BTreeMap<String, u32>,
}

/// The result of beginning a step.
pub(super) enum StepEntry {
    Done {
        outcome: Result<String, Failure>,
        at: u64,
    },
    /// The beginning was refused, as recorded.
    Refused(Failure),
    Open {
        attempt: u32,
        at: u64,
    },
    New,
}

/// A journal and the position of its replay.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    pub(super) journal: Journal,
    frames: Vec<Frame>,
}

impl Replay {
    /// Starts at the beginning of the journal.
    pub(super) fn of(journal: Journal) -> Self {
        Self { journal, frames: vec![Frame::default()] }
    }

    /// Returns the number of open steps.
    pub(super) fn depth(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// Returns the open steps with their ordinals, from the outermost to the innermost.
    pub(super) fn path(&self) -> Vec<(String, u32)> {
        self.open_steps().map(|step| (step.name.clone(), step.ordinal)).collect()
    }

    /// Returns the attempts of the open steps, from the outermost to the innermost.
    pub(super) fn attempts(&self) -> Vec<u32> {
        self.open_steps().map(|step| step.attempt).collect()
    }

    fn open_steps(&self) -> impl Iterator<Item = &Step> {
        let mut records = &self.journal.records;
        self.frames.iter().skip(1).filter_map(move |frame| match &*records[frame.place] {
            Record::Step(step) => {
                records = &step.inner;
                Some(step)
            }
            Record::Call(_) => None,
        })
    }

    /// Returns the recorded result of the next call, or `None` if the call must be executed.
    pub(super) fn call(&mut self, kind: &str, request: &str) -> Result<Option<(Value, u64)>, Mismatch> {
        let Some(place) = self.unreplayed() else { return Ok(None) };
        let found = match &*self.records()[place] {
            Record::Call(call) if call.kind == kind && call.request == request => (call.result.clone(), call.at),
            _ => return Err(self.mismatch(place, format!("`{kind} {request}`"))),
        };
        self.top().next = place + 1;
        Ok(Some(found))
    }

    /// Whether the next call is executed instead of replayed.
    pub(super) fn is_live(&self) -> bool {
        self.unreplayed().is_none()
    }

    /// Records a call that was executed.
    pub(super) fn record(&mut self, kind: &str, request: &str, result: Value, at: u64) {
        let call = Call { kind: kind.to_owned(), request: request.to_owned(), result, at };
        self.push(Record::Call(call));
    }

    /// Begins a step. If it is neither recorded nor refused, [`Replay::open`] must follow.
    pub(super) fn begin_step(&mut self, name: &str) -> Result<StepEntry, Mismatch> {
        let ordinal = self.top().ordinals.get(name).copied().unwrap_or(0) + 1;
        if let Some((place, step)) = self.find(name, ordinal) {
            let (attempt, at, outcome) = (step.attempt, step.at, step.outcome.clone());
            self.top().ordinals.insert(name.to_owned(), ordinal);
            if let Some(outcome) = outcome {
                if self.top().next == place {
                    self.top().next = place + 1;
                }
                return Ok(StepEntry::Done { outcome, at });
            }
            self.top().next = place + 1;
            self.frames.push(Frame { place, ..Frame::default() });
            return Ok(StepEntry::Open { attempt, at });
        }
        match self.call("durable.begin-step", name) {
            Ok(None) => Ok(StepEntry::New),
            Ok(Some((result, _))) => match serde_json::from_value(result) {
                Ok(refused) => Ok(StepEntry::Refused(refused)),
                Err(_) => Ok(StepEntry::New),
            },
            Err(mismatch) => Err(Mismatch { called: format!("step `{name}`"), ..mismatch }),
        }
    }

    /// Records a new open step.
    pub(super) fn open(&mut self, name: &str, at: u64) {
        let ordinal = *self.top().ordinals.entry(name.to_owned()).and_modify(|ordinal| *ordinal += 1).or_insert(1);
        let step = Step { name: name.to_owned(), ordinal, attempt: 1, at, outcome: None, inner: Vec::new() };
        self.push(Record::Step(step));
        let place = self.records().len() - 1;
        self.frames.push(Frame { place, ..Frame::default() });
    }

    /// Starts the next attempt of the innermost step and drops the record of the previous attempt.
    pub(super) fn again(&mut self, attempt: u32, at: u64) {
        if let Some(frame) = self.frames.last_mut() {
            *frame = Frame { place: frame.place, ..Frame::default() };
        }
        if let Some(step) = self.innermost() {
            (step.attempt, step.at) = (attempt, at);
            step.inner.clear();
        }
    }

    /// Ends the innermost step and drops its contents.
    pub(super) fn end_step(&mut self, outcome: Result<String, Failure>, at: u64) {
        if let Some(step) = self.innermost() {
            (step.outcome, step.at) = (Some(outcome), at);
            step.inner.clear();
        }
        self.frames.pop();
    }

    /// Returns the attempt of the innermost step.
    pub(super) fn attempt(&mut self) -> u32 {
        self.innermost().map_or(1, |step| step.attempt)
    }

    /// Returns a recorded entry that the run did not call, outside the steps or in the open one.
    pub(super) fn left_over(&self, called: &str) -> Option<Mismatch> {
        self.unreplayed().map(|place| self.mismatch(place, called.to_owned()))
    }

    /// Completed steps are found by their path in any order, so they do not count as next.
    fn unreplayed(&self) -> Option<usize> {
        let next = self.frames.last().map_or(0, |frame| frame.next);
        let waits = |record: &Rc<Record>| !matches!(&**record, Record::Step(step) if step.outcome.is_some());
        self.records().iter().skip(next).position(waits).map(|skipped| next + skipped)
    }

    /// Most steps occur in the order in which they were recorded.
    fn find(&self, name: &str, ordinal: u32) -> Option<(usize, &Step)> {
        let records = self.records();
        let next = self.frames.last().map_or(0, |frame| frame.next);
        (next..records.len()).chain(0..next).find_map(|place| match &*records[place] {
            Record::Step(step) if step.name == name && step.ordinal == ordinal => Some((place, step)),
            _ => None,
        })
    }

    fn mismatch(&self, place: usize, called: String) -> Mismatch {
        Mismatch {
            entry: place + 1,
            steps: self.path().into_iter().map(|(name, _)| name).collect(),
            recorded: self.records()[place].to_string(),
            called,
        }
    }

    fn top(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn push(&mut self, record: Record) {
        self.records_mut().push(Rc::new(record));
        let len = self.records().len();
        self.top().next = len;
    }

    fn records(&self) -> &[Rc<Record>] {
        let mut records = &self.journal.records;
        for frame in self.frames.iter().skip(1) {
            if let Record::Step(step) = &*records[frame.place] {
                records = &step.inner;
            }
        }
        records
    }

    fn records_mut(&mut self) -> &mut Vec<Rc<Record>> {
        let mut records = &mut self.journal.records;
        for frame in self.frames.iter().skip(1) {
            match Rc::make_mut(&mut records[frame.place]) {
                Record::Step(step) => records = &mut step.inner,
                Record::Call(_) => unreachable!("a frame belongs to a step"),
            }
        }
        records
    }

    fn innermost(&mut self) -> Option<&mut Step> {
        let (last, outer) = self.frames.get(1..)?.split_last()?;
        let mut records = &mut self.journal.records;
        for frame in outer {
            match Rc::make_mut(&mut records[frame.place]) {
                Record::Step(step) => records = &mut step.inner,
                Record::Call(_) => return None,
            }
        }
        match Rc::make_mut(&mut records[last.place]) {
            Record::Step(step) => Some(step),
            Record::Call(_) => None,
        }
    }
}
