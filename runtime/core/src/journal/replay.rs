//! The journal as the engine uses it: each call is met as it was recorded, and beyond the record it is recorded.

use bytes::Bytes;

use super::chunks::{Chunks, RecordCursor};
use super::completed::CompletedSteps;
use super::path::StepPath;
use super::record::{Record, RecordHint, glimpse};
use super::steps::{OpenStep, Step, StepFrame, join};
use super::{
    CallDescription, CallReplay, Hash, JournalChange, JournalDamage, Kind, Mismatch, NewEntry, Position,
    RecordedAnswer, SHOWN_BYTES,
};
use crate::ids::{Fuel, Timestamp};

/// So many completed steps tell how many there may be in all.
const MANY: usize = 4096;

/// One generation's journal: replays what it holds, then records.
///
/// Memory: what is stored, and about forty bytes for each completed step that is not inside another.
#[derive(Clone)]
pub struct Journal {
    pub(super) chunks: Chunks,
    pub(super) done: CompletedSteps,
    /// The steps that the record leaves open, from the outside in.
    pub(super) opened: Vec<OpenStep>,
    pub(super) cursor: RecordCursor,
    /// How many entries, and how many ended steps, were met in this replay.
    pub(super) met: (u64, u64),
    /// Nothing that was recorded is met any more: something new has happened.
    pub(super) live: bool,
    /// The steps that the guest has open, below them what is in no step.
    pub(super) frames: Vec<StepFrame>,
}

impl Journal {
    /// One that holds nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Chunks::new(), CompletedSteps::default(), Vec::new())
    }

    /// What was stored, in the order of the chunks.
    ///
    /// # Errors
    /// Where a chunk is not as it was written, in its place, or is of a newer format.
    pub fn load(chunks: Vec<Bytes>) -> Result<Self, JournalDamage> {
        let (mut done, mut opened) = (CompletedSteps::default(), Vec::<OpenStep>::new());
        let (mut within, all) = (StepPath::ROOT, chunks.len());
        let chunks = Chunks::load(chunks, |record, place, mark| {
            match *record {
                Record::Call { .. } => {}
                Record::Open { name, ordinal, attempt, not_before } => {
                    let path = within.named(name).nth(ordinal);
                    let not_before = Timestamp::from_millis(not_before);
                    opened.push(OpenStep {
                        mark,
                        step: Step { name: name.into(), ordinal, path },
                        attempt,
                        not_before,
                    });
                    within = path;
                }
                Record::Done { name, ordinal, .. } => {
                    if done.len() == MANY {
                        // Growing by halves would move a million steps twice: the rest is likely to be as what was read.
                        done.reserve(MANY * (all / (place.chunk as usize + 1)).min(MANY));
                    }
                    if !done.add(within.named(name).nth(ordinal), place) {
                        return Err("a step ends twice");
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self::of(chunks, done, opened))
    }

    fn of(chunks: Chunks, done: CompletedSteps, opened: Vec<OpenStep>) -> Self {
        let frames = vec![StepFrame::new(StepPath::ROOT)];
        Self { chunks, done, opened, cursor: RecordCursor::default(), met: (0, 0), live: false, frames }
    }

    /// Replays from the beginning again.
    pub fn rewind(&mut self) {
        self.cursor = RecordCursor::default();
        self.met = (0, 0);
        self.live = false;
        self.frames.clear();
        self.frames.push(StepFrame::new(StepPath::ROOT));
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
    pub fn call(&mut self, kind: Kind, request: Hash) -> Result<CallReplay, Mismatch> {
        match self.ahead() {
            None => {
                self.live = true;
                Ok(CallReplay::Live)
            }
            Some(RecordHint::Call { kind: k, request: r }) if k == kind && r == request => match self.take() {
                Some(recorded) => Ok(CallReplay::Recorded(recorded)),
                None => Err(self.mismatch(kind.name(), Some(request), self.step_path())),
            },
            Some(_) => Err(self.mismatch(kind.name(), Some(request), self.step_path())),
        }
    }

    /// The next entry if it is of that kind and request, and every completed step before it was met; otherwise nothing
    /// happens. For calls that have several entries, whose number and order only the record knows, and for what may come before any call.
    pub fn next_if(&mut self, kind: Kind, request: Hash) -> Option<RecordedAnswer> {
        if self.live {
            return None;
        }
        loop {
            let (_, offset, bytes) = self.chunks.at(&mut self.cursor)?;
            match glimpse(bytes, offset)? {
                // One that was met out of order is passed by; one that comes first keeps what is behind it waiting.
                RecordHint::Done if self.met.1 > self.cursor.done => self.chunks.read(&mut self.cursor).map(|_| ())?,
                next if next == (RecordHint::Call { kind, request }) => return self.take(),
                _ => return None,
            }
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

    /// The end of the record.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position(self.chunks.records())
    }

    /// After the last entry that was met in the order of the record; its end once [`Self::is_live`].
    #[must_use]
    pub fn replayed(&self) -> Position {
        if self.is_live() { self.position() } else { Position(self.cursor.seq) }
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
    pub(super) fn ahead(&mut self) -> Option<RecordHint> {
        if self.live {
            return None;
        }
        loop {
            let (_, offset, bytes) = self.chunks.at(&mut self.cursor)?;
            match glimpse(bytes, offset)? {
                RecordHint::Done => self.chunks.read(&mut self.cursor).map(|_| ())?,
                next => return Some(next),
            }
        }
    }

    /// Meets the entry that [`Self::ahead`] saw.
    pub(super) fn take(&mut self) -> Option<RecordedAnswer> {
        let (_, result, _) = self.chunks.read_parts(&mut self.cursor)?;
        self.met.0 += 1;
        let RecordCursor { context, .. } = &self.cursor;
        Some(RecordedAnswer { result, at: Timestamp::from_millis(context.at), fuel: Fuel::new(context.fuel) })
    }

    pub(super) fn mismatch(&self, kind: &'static str, request: Option<Hash>, step: String) -> Mismatch {
        let called = CallDescription { kind, request, step, shown: None };
        let mut cursor = self.cursor.clone();
        let recorded = match self.chunks.read_parts(&mut cursor) {
            Some((read, _, shown)) if !self.live => match read.record {
                Record::Call { kind, request, .. } => {
                    CallDescription { kind: kind.name(), request: Some(request), step: self.step_path(), shown }
                }
                Record::Open { name, ordinal, .. } | Record::Done { name, ordinal, .. } => {
                    let step = join(&self.step_path(), name, ordinal);
                    CallDescription { kind: "durable.begin-step", request: None, step, shown }
                }
            },
            _ => CallDescription { kind: "nothing more", request: None, step: self.step_path(), shown: None },
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

/// What is kept of a shown request; text is not cut within a character.
fn cut(shown: &[u8]) -> &[u8] {
    let mut end = shown.len().min(SHOWN_BYTES);
    while end < shown.len() && end > SHOWN_BYTES - 4 && shown[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &shown[..end]
}
