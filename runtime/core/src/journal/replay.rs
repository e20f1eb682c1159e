//! The journal as the engine uses it: answers recorded calls from the record, and records new
//! ones.

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

/// Number of completed steps after which the total is estimated.
const MANY: usize = 4096;

/// The journal of one generation: replays its records, then records new calls.
///
/// It takes the memory of its stored records, and about forty bytes for each completed step that
/// is not inside another one.
#[derive(Clone)]
pub struct Journal {
    pub(super) chunks: Chunks,
    pub(super) done: CompletedSteps,
    /// The steps that are open in the record, outermost first.
    pub(super) opened: Vec<OpenStep>,
    pub(super) cursor: RecordCursor,
    /// Number of entries and of ended steps that this replay has met.
    pub(super) met: (u64, u64),
    /// Whether replay is over: something new has happened.
    pub(super) live: bool,
    /// The guest's open steps; the first frame is outside of all steps.
    pub(super) frames: Vec<StepFrame>,
}

impl Journal {
    /// Returns an empty journal.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Chunks::new(), CompletedSteps::default(), Vec::new())
    }

    /// Loads the stored chunks, in order.
    ///
    /// # Errors
    /// If a chunk is damaged, is not in its place, or has a newer format.
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
                        // Reserve for the estimated total: growing by doubling would move a
                        // million steps twice.
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

    /// Restarts the replay from the beginning.
    pub fn rewind(&mut self) {
        self.cursor = RecordCursor::default();
        self.met = (0, 0);
        self.live = false;
        self.frames.clear();
        self.frames.push(StepFrame::new(StepPath::ROOT));
    }

    /// Whether the replay has met all records, completed steps included, or something new has
    /// happened.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live || (self.in_order() == self.met.0 && self.met.1 >= self.chunks.done())
    }

    /// Ends the replay: the guest has returned.
    ///
    /// # Errors
    /// If records follow. Completed steps that this replay has not met do not count.
    pub fn end(&mut self) -> Result<(), Mismatch> {
        match self.ahead() {
            None => Ok(()),
            Some(_) => Err(self.mismatch("the end of the run", None, self.step_path())),
        }
    }

    /// Matches the next call with the record: returns the recorded answer, or [`CallReplay::Live`]
    /// for a call that the engine performs and then passes to [`Self::record`].
    ///
    /// # Errors
    /// If the next record is a different call or a step.
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

    /// Returns the next entry if it has that kind and request and every completed step before it
    /// was met; otherwise changes nothing. It serves calls with several entries, whose number and
    /// order only the record knows, and entries that can precede any call.
    pub fn next_if(&mut self, kind: Kind, request: Hash) -> Option<RecordedAnswer> {
        if self.live {
            return None;
        }
        loop {
            let (_, offset, bytes) = self.chunks.at(&mut self.cursor)?;
            match glimpse(bytes, offset)? {
                // Skip a step that was met out of order. A step that was not met yet holds back
                // the entries after it.
                RecordHint::Done if self.met.1 > self.cursor.done => self.chunks.read(&mut self.cursor).map(|_| ())?,
                next if next == (RecordHint::Call { kind, request }) => return self.take(),
                _ => return None,
            }
        }
    }

    /// Appends a call's answer. The next replay meets it.
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

    /// The position after the last entry that was met in order; the end of the record if
    /// [`Self::is_live`].
    #[must_use]
    pub fn replayed(&self) -> Position {
        if self.is_live() { self.position() } else { Position(self.cursor.seq) }
    }

    /// Drops everything after `to`, and restarts the replay from the beginning.
    pub fn truncate(&mut self, to: Position) {
        if let Some(mark) = self.chunks.mark_after(to.0) {
            self.chunks.cut(mark);
            self.opened.retain(|opened| opened.mark.records < to.0);
            self.done.truncate(self.chunks.done());
        }
        self.rewind();
    }

    /// Returns the change that brings the store up to date, and regards it as written; `None` if
    /// nothing has changed.
    pub fn change(&mut self) -> Option<JournalChange> {
        self.chunks.change()
    }

    /// Revokes the last change, whose commit was refused: the next change contains it again.
    pub fn not_written(&mut self) {
        self.chunks.not_written();
    }

    /// Number of entries.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.chunks.records()
    }

    /// Size in the store, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }

    /// Time of the last entry; the epoch without entries. `now` is never earlier.
    #[must_use]
    pub const fn last_at(&self) -> Timestamp {
        Timestamp::from_millis(self.chunks.last().0)
    }

    /// The run's fuel at the last entry.
    #[must_use]
    pub const fn last_fuel(&self) -> Fuel {
        Fuel::new(self.chunks.last().1)
    }

    /// Number of entries that are met in order: all but ended steps.
    const fn in_order(&self) -> u64 {
        self.chunks.records() - self.chunks.done()
    }

    /// The next entry in order; skips ended steps.
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

    /// Takes the entry that [`Self::ahead`] returned.
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

/// The part of a shown request that is kept. It is not cut within a character.
fn cut(shown: &[u8]) -> &[u8] {
    let mut end = shown.len().min(SHOWN_BYTES);
    while end < shown.len() && end > SHOWN_BYTES - 4 && shown[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &shown[..end]
}
