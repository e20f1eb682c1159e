//! The journal as the engine uses it: each call and step is met as it was recorded, and beyond the record it is recorded.

use std::collections::HashMap;

use bytes::Bytes;

use super::chunks::{Chunks, Cursor, Mark};
use super::done::Done;
use super::path::Path;
use super::record::{Glimpse, Record, glimpse};
use super::{
    Damaged, Hash, JournalChange, Kind, Met, Mismatch, NewEntry, Position, Recorded, SHOWN_BYTES, Seen, StepId, StepMet,
};
use crate::ids::{Fuel, Timestamp};

/// One generation's journal: replays what it holds, then records.
///
/// Memory: what is stored, and about forty bytes for each completed step that is not inside another.
#[derive(Clone)]
pub struct Journal {
    pub(super) chunks: Chunks,
    done: Done,
    /// The steps that the record leaves open, from the outside in.
    pub(super) opened: Vec<Opened>,
    cursor: Cursor,
    /// How many entries, and how many ended steps, were met in this replay.
    met: (u64, u64),
    /// Nothing that was recorded is met any more: something new has happened.
    live: bool,
    /// The steps that the guest has open, below them what is in no step.
    frames: Vec<Frame>,
}

/// A step that is recorded as begun.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) mark: Mark,
    pub(super) step: Step,
    attempt: u32,
    not_before: Timestamp,
}

/// A step by its own name, and by its path.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: Box<str>,
    pub(super) ordinal: u32,
    path: Path,
}

/// Where the guest is.
#[derive(Debug, Clone)]
struct Frame {
    path: Path,
    /// How many steps of each name it has begun here in this replay.
    begun: HashMap<u64, u32>,
    /// The step until its beginning is recorded.
    fresh: Option<Step>,
}

impl Frame {
    fn new(path: Path) -> Self {
        Self { path, begun: HashMap::new(), fresh: None }
    }
}

impl Journal {
    /// One that holds nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Chunks::new(), Done::default(), Vec::new())
    }

    /// What was stored, in the order of the chunks.
    ///
    /// # Errors
    /// Where a chunk is not as it was written, in its place, or is of a newer format.
    pub fn load(chunks: Vec<Bytes>) -> Result<Self, Damaged> {
        let (mut done, mut opened) = (Done::default(), Vec::<Opened>::new());
        let mut within = Path::ROOT;
        let chunks = Chunks::load(chunks, |record, place, mark| {
            match *record {
                Record::Call { .. } => {}
                Record::Open { name, ordinal, attempt, not_before } => {
                    let path = within.named(name).nth(ordinal);
                    let not_before = Timestamp::from_millis(not_before);
                    opened.push(Opened { mark, step: Step { name: name.into(), ordinal, path }, attempt, not_before });
                    within = path;
                }
                Record::Done { name, ordinal, .. } => {
                    if !done.add(within.named(name).nth(ordinal), place) {
                        return Err("a step ends twice");
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self::of(chunks, done, opened))
    }

    fn of(chunks: Chunks, done: Done, opened: Vec<Opened>) -> Self {
        let frames = vec![Frame::new(Path::ROOT)];
        Self { chunks, done, opened, cursor: Cursor::default(), met: (0, 0), live: false, frames }
    }

    /// Replays from the beginning again.
    pub fn rewind(&mut self) {
        self.cursor = Cursor::default();
        self.met = (0, 0);
        self.live = false;
        self.frames.clear();
        self.frames.push(Frame::new(Path::ROOT));
    }

    /// Whether everything that is recorded was met, completed steps included, or something new has happened.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live || (self.in_order() == self.met.0 && self.met.1 >= self.chunks.done())
    }

    /// The guest has returned.
    ///
    /// # Errors
    /// Where the record goes on. Completed steps that were not met again are no such record.
    pub fn end(&mut self) -> Result<(), Mismatch> {
        match self.ahead() {
            None => Ok(()),
            Some(_) => Err(self.mismatch("the end of the run", None, self.step_path())),
        }
    }

    /// The next call: answered by the record, or to be performed and then given to [`Self::record`].
    ///
    /// # Errors
    /// Where the record holds something else there.
    pub fn call(&mut self, kind: Kind, request: Hash) -> Result<Met, Mismatch> {
        match self.ahead() {
            None => {
                self.live = true;
                Ok(Met::Live)
            }
            Some(Glimpse::Call { kind: k, request: r }) if k == kind && r == request => match self.take() {
                Some(recorded) => Ok(Met::Recorded(recorded)),
                None => Err(self.mismatch(kind.name(), Some(request), self.step_path())),
            },
            Some(_) => Err(self.mismatch(kind.name(), Some(request), self.step_path())),
        }
    }

    /// The next entry if it is of that kind and request; otherwise nothing happens. For calls that have several entries, whose
    /// number and order only the record knows.
    pub fn next_if(&mut self, kind: Kind, request: Hash) -> Option<Recorded> {
        match self.ahead() {
            Some(ahead) if ahead == (Glimpse::Call { kind, request }) => self.take(),
            _ => None,
        }
    }

    /// Records what a call was answered, at the end. It is met again after a [`Self::rewind`].
    pub fn record(&mut self, entry: NewEntry<'_>) {
        if self.ahead().is_none() {
            self.live = true;
        }
        let NewEntry { kind, request, result, at, fuel, shown } = entry;
        let record = Record::Call { kind, request, shown: shown.map(cut), result };
        self.chunks.append(&record, at.as_millis(), fuel.get());
    }

    /// The guest begins a step; unless it ended before or is refused, it is the innermost open one from here on.
    ///
    /// # Errors
    /// Where it did not end before, and the record holds something else there.
    pub fn begin_step(&mut self, name: &str) -> Result<StepMet, Mismatch> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else {
            // There is always the outermost one.
            return Err(self.mismatch("durable.begin-step", None, name.to_owned()));
        };
        let named = frame.path.named(name);
        let begun = frame.begun.entry(named.short()).or_default();
        *begun = begun.saturating_add(1);
        let ordinal = *begun;
        let path = named.nth(ordinal);
        let id = path.id();
        if let Some((gave_up, bytes)) = self.done.find(path).and_then(|place| self.chunks.ended_step(place)) {
            if !self.live {
                self.met.1 += 1;
            }
            return Ok(if gave_up {
                StepMet::GaveUp { id, failure: bytes }
            } else {
                StepMet::Completed { id, result: bytes }
            });
        }
        match self.ahead() {
            None => {
                self.live = true;
                let step = Step { name: name.into(), ordinal, path };
                self.frames.push(Frame { fresh: Some(step), ..Frame::new(path) });
                return Ok(StepMet::New { id });
            }
            Some(Glimpse::Open) => {
                let opened = self.opened.get(depth - 1).filter(|opened| opened.step.path == path);
                if let Some((attempt, not_before)) = opened.map(|opened| (opened.attempt, opened.not_before))
                    && self.take().is_some()
                {
                    self.frames.push(Frame::new(path));
                    return Ok(StepMet::Resumed { id, attempt, not_before });
                }
            }
            Some(Glimpse::Call { kind: Kind::BeginStep, request }) if request == path.to_bytes() => {
                if let Some(recorded) = self.take() {
                    return Ok(StepMet::Refused { id, failure: recorded.result });
                }
            }
            Some(_) => {}
        }
        let step = join(&self.step_path(), name, ordinal);
        Err(self.mismatch("durable.begin-step", Some(path.to_bytes()), step))
    }

    /// Records that a step that is [`StepMet::New`] begins.
    pub fn open_step(&mut self, id: StepId, attempt: u32, at: Timestamp, fuel: Fuel) {
        let Some(frame) = self.frames.last_mut().filter(|frame| frame.path.id() == id) else { return };
        if let Some(step) = frame.fresh.take() {
            self.open(step, attempt, Timestamp::default(), at, fuel);
        }
    }

    /// Records that a step that is [`StepMet::New`] does not begin, and why. It is open no more.
    pub fn refuse_step(&mut self, id: StepId, failure: &[u8], at: Timestamp, fuel: Fuel) {
        if self.frames.last().is_none_or(|frame| frame.path.id() != id || frame.fresh.is_none()) {
            return;
        }
        if let Some(frame) = self.frames.pop() {
            let request = frame.path.to_bytes();
            self.record(NewEntry { kind: Kind::BeginStep, request, result: failure, at, fuel, shown: None });
        }
    }

    /// The innermost open step is carried out again, as that attempt and not before that time: what it recorded is dropped.
    ///
    /// # Errors
    /// Where the record goes on inside the step, or another step is the innermost.
    pub fn step_again(
        &mut self,
        id: StepId,
        attempt: u32,
        not_before: Timestamp,
        at: Timestamp,
        fuel: Fuel,
    ) -> Result<(), Mismatch> {
        let step = self.close(id)?;
        if let Some(frame) = self.frames.last_mut() {
            frame.begun.clear();
        }
        self.open(step, attempt, not_before, at, fuel);
        Ok(())
    }

    /// The innermost open step ends, well or given up on: what it recorded is dropped, steps inside it included, and its
    /// result remains.
    ///
    /// # Errors
    /// Where the record goes on inside the step, or another step is the innermost.
    pub fn step_done(
        &mut self,
        id: StepId,
        result: Result<&[u8], &[u8]>,
        at: Timestamp,
        fuel: Fuel,
    ) -> Result<(), Mismatch> {
        let Step { name, ordinal, path } = self.close(id)?;
        self.frames.pop();
        let (gave_up, result) = result.map_or_else(|failure| (true, failure), |result| (false, result));
        let record = Record::Done { name: &name, ordinal, gave_up, result };
        let (place, _) = self.chunks.append(&record, at.as_millis(), fuel.get());
        self.done.add(path, place);
        Ok(())
    }

    /// How many steps the guest has open.
    #[must_use]
    pub const fn open_steps(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// The innermost step that the guest has open.
    #[must_use]
    pub fn innermost(&self) -> Option<StepId> {
        self.frames.get(1..)?.last().map(|frame| frame.path.id())
    }

    /// The path of the innermost open step: what tells keys and streams of randomness of one step from another's. Zeros outside of any.
    #[must_use]
    pub fn path_hash(&self) -> Hash {
        self.frames.last().map_or_else(Hash::default, |frame| frame.path.to_bytes())
    }

    /// The path of the innermost open step for people, e.g. `order/charge#2`; empty outside of any.
    #[must_use]
    pub fn step_path(&self) -> String {
        let mut text = String::new();
        for (index, frame) in self.frames.iter().skip(1).enumerate() {
            let recorded = || self.opened.get(index).map(|opened| &opened.step);
            if let Some(step) = frame.fresh.as_ref().or_else(recorded) {
                text = join(&text, &step.name, step.ordinal);
            }
        }
        text
    }

    /// The end of the record.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position(self.chunks.records())
    }

    /// After the last entry that was met in order, and the completed steps before it; the end where something new has happened.
    #[must_use]
    pub const fn replayed(&self) -> Position {
        if self.live { self.position() } else { Position(self.cursor.seq) }
    }

    /// Drops everything after `to`, and replays from the beginning.
    pub fn truncate(&mut self, to: Position) {
        if let Some(mark) = self.chunks.mark_after(to.0) {
            self.chunks.cut(mark);
            self.opened.retain(|opened| opened.mark.records < to.0);
            self.done.truncate(self.chunks.done());
        }
        self.rewind();
    }

    /// What must be written so that the store has all; none where nothing has changed. It counts as written from here on.
    pub fn change(&mut self) -> Option<JournalChange> {
        self.chunks.change()
    }

    /// The last change was not written after all, because its commit was refused: the next holds it once more.
    pub fn not_written(&mut self) {
        self.chunks.not_written();
    }

    /// How many entries it has.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.chunks.records()
    }

    /// How many bytes it takes in the store.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }

    /// When the last entry was recorded; the epoch where there is none. `now` is never earlier.
    #[must_use]
    pub const fn last_at(&self) -> Timestamp {
        Timestamp::from_millis(self.chunks.last().0)
    }

    /// The run's fuel at the last entry.
    #[must_use]
    pub const fn last_fuel(&self) -> Fuel {
        Fuel::new(self.chunks.last().1)
    }

    /// Entries that are met in their order: all but ended steps.
    const fn in_order(&self) -> u64 {
        self.chunks.records() - self.chunks.done()
    }

    /// What is next in order; ended steps are passed by.
    fn ahead(&mut self) -> Option<Glimpse> {
        if self.live {
            return None;
        }
        loop {
            let (_, offset, bytes) = self.chunks.at(&mut self.cursor)?;
            match glimpse(bytes, offset)? {
                Glimpse::Done => self.chunks.read(&mut self.cursor).map(|_| ())?,
                next => return Some(next),
            }
        }
    }

    /// Meets the entry that [`Self::ahead`] saw.
    fn take(&mut self) -> Option<Recorded> {
        let (_, result, _) = self.chunks.read_parts(&mut self.cursor)?;
        self.met.0 += 1;
        let Cursor { context, .. } = &self.cursor;
        Some(Recorded { result, at: Timestamp::from_millis(context.at), fuel: Fuel::new(context.fuel) })
    }

    fn open(&mut self, step: Step, attempt: u32, not_before: Timestamp, at: Timestamp, fuel: Fuel) {
        let (name, ordinal) = (&step.name, step.ordinal);
        let record = Record::Open { name, ordinal, attempt, not_before: not_before.as_millis() };
        let (_, mark) = self.chunks.append(&record, at.as_millis(), fuel.get());
        self.opened.push(Opened { mark, step, attempt, not_before });
    }

    /// Drops what the innermost open step recorded, its beginning included.
    fn close(&mut self, id: StepId) -> Result<Step, Mismatch> {
        if self.innermost() == Some(id) && self.ahead().is_none() {
            self.live = true;
            if let Some(step) = self.frames.last_mut().and_then(|frame| frame.fresh.take()) {
                return Ok(step);
            }
            if self.opened.len() == self.open_steps()
                && let Some(opened) = self.opened.pop()
            {
                self.chunks.cut(opened.mark);
                self.done.truncate(self.chunks.done());
                return Ok(opened.step);
            }
        }
        Err(self.mismatch("durable.end-step", None, self.step_path()))
    }

    fn mismatch(&self, kind: &'static str, request: Option<Hash>, step: String) -> Mismatch {
        let called = Seen { kind, request, step, shown: None };
        let mut cursor = self.cursor.clone();
        let recorded = match self.chunks.read_parts(&mut cursor) {
            Some((read, _, shown)) if !self.live => match read.record {
                Record::Call { kind, request, .. } => {
                    Seen { kind: kind.name(), request: Some(request), step: self.step_path(), shown }
                }
                Record::Open { name, ordinal, .. } | Record::Done { name, ordinal, .. } => {
                    let step = join(&self.step_path(), name, ordinal);
                    Seen { kind: "durable.begin-step", request: None, step, shown }
                }
            },
            _ => Seen { kind: "nothing more", request: None, step: self.step_path(), shown: None },
        };
        Mismatch { seq: self.replayed().0 + 1, recorded: Box::new(recorded), called: Box::new(called) }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("entries", &self.entries())
            .field("bytes", &self.bytes())
            .field("replayed", &self.replayed().0)
            .field("live", &self.is_live())
            .field("step", &self.step_path())
            .finish()
    }
}

/// A step's path for people.
pub(super) fn join(parent: &str, name: &str, ordinal: u32) -> String {
    let slash = if parent.is_empty() { "" } else { "/" };
    if ordinal == 1 { format!("{parent}{slash}{name}") } else { format!("{parent}{slash}{name}#{ordinal}") }
}

/// What is kept of a shown request; text is not cut within a character.
fn cut(shown: &[u8]) -> &[u8] {
    let mut end = shown.len().min(SHOWN_BYTES);
    while end < shown.len() && end > SHOWN_BYTES - 4 && shown[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &shown[..end]
}
