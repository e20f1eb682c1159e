//! Begins, replays, retries and ends steps. A step that ends drops the entries inside it.

use std::collections::HashMap;

use bytes::Bytes;

use super::chunks::ChunkMark;
use super::path::StepPath;
use super::record::{Record, RecordHint};
use super::{Hash, Journal, Kind, Mismatch, NewEntry, StepId, StepReplay};
use crate::ids::{Fuel, Timestamp};

/// A step whose beginning is recorded.
#[derive(Debug, Clone)]
pub(super) struct OpenStep {
    pub(super) mark: ChunkMark,
    pub(super) step: Step,
    pub(super) attempt: u32,
    pub(super) not_before: Timestamp,
}

/// Identity of a step: its own name and its path.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: Box<str>,
    pub(super) ordinal: u32,
    pub(super) path: StepPath,
}

/// A level of the guest's open steps.
#[derive(Debug, Clone)]
pub(super) struct StepFrame {
    pub(super) path: StepPath,
    /// Number of steps of each name that this replay has begun here.
    begun: HashMap<u64, u32>,
    /// The step, until its beginning is recorded.
    fresh: Option<Step>,
}

impl StepFrame {
    pub(super) fn new(path: StepPath) -> Self {
        Self { path, begun: HashMap::new(), fresh: None }
    }
}

impl Journal {
    /// Begins a step for the guest. Unless it ended before or is refused, it becomes the innermost
    /// open step.
    ///
    /// # Errors
    /// If the step has not ended before and the next record is different.
    pub fn begin_step(&mut self, name: &str) -> Result<StepReplay, Mismatch> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else {
            // The outermost frame always exists.
            return Err(self.mismatch("durable.begin-step", None, name.to_owned()));
        };
        let named = frame.path.named(name);
        let begun = frame.begun.entry(named.short()).or_default();
        *begun = begun.saturating_add(1);
        let ordinal = *begun;
        let path = named.nth(ordinal);
        let id = path.id();
        if let Some((gave_up, bytes)) = self.ended(path, name, ordinal) {
            return Ok(if gave_up {
                StepReplay::GaveUp { id, failure: bytes }
            } else {
                StepReplay::Completed { id, result: bytes }
            });
        }
        match self.ahead() {
            None => {
                self.live = true;
                let step = Step { name: name.into(), ordinal, path };
                self.frames.push(StepFrame { fresh: Some(step), ..StepFrame::new(path) });
                return Ok(StepReplay::New { id });
            }
            Some(RecordHint::Open) => {
                let opened = self.opened.get(depth - 1).filter(|opened| opened.step.path == path);
                if let Some((attempt, not_before)) = opened.map(|opened| (opened.attempt, opened.not_before))
                    && self.take().is_some()
                {
                    self.frames.push(StepFrame::new(path));
                    return Ok(StepReplay::Resumed { id, attempt, not_before });
                }
            }
            Some(RecordHint::Call { kind: Kind::BeginStep, request }) if request == path.to_bytes() => {
                if let Some(recorded) = self.take() {
                    return Ok(StepReplay::Refused { id, failure: recorded.result });
                }
            }
            Some(_) => {}
        }
        let step = join(&self.step_path(), name, ordinal);
        Err(self.mismatch("durable.begin-step", Some(path.to_bytes()), step))
    }

    /// The result of a step that ended before, and whether it gave up.
    fn ended(&mut self, path: StepPath, name: &str, ordinal: u32) -> Option<(bool, Bytes)> {
        if self.live {
            return self.chunks.ended_step(self.done.find(path)?);
        }
        // Usually it is the next record, and reading on is much cheaper than a lookup.
        let ended = match self.chunks.next_ended(&mut self.cursor, name, ordinal) {
            Some(ended) => ended,
            None => self.chunks.ended_step(self.done.find(path)?)?,
        };
        self.met.1 += 1;
        Some(ended)
    }

    /// Records the beginning of a step that is [`StepReplay::New`].
    pub fn open_step(&mut self, id: StepId, attempt: u32, at: Timestamp, fuel: Fuel) {
        let Some(frame) = self.frames.last_mut().filter(|frame| frame.path.id() == id) else { return };
        if let Some(step) = frame.fresh.take() {
            self.open(step, attempt, Timestamp::default(), at, fuel);
        }
    }

    /// Records the refusal of a step that is [`StepReplay::New`]. The step is closed.
    pub fn refuse_step(&mut self, id: StepId, failure: &[u8], at: Timestamp, fuel: Fuel) {
        if self.frames.last().is_none_or(|frame| frame.path.id() != id || frame.fresh.is_none()) {
            return;
        }
        if let Some(frame) = self.frames.pop() {
            let request = frame.path.to_bytes();
            self.record(NewEntry { kind: Kind::BeginStep, request, result: failure, at, fuel, shown: None });
        }
    }

    /// Retries the innermost open step with the given attempt and back-off, and drops its entries.
    ///
    /// # Errors
    /// If records follow inside the step, or another step is the innermost.
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

    /// Ends the innermost open step, which succeeded or gave up. Its entries are dropped, steps
    /// inside it included, and its result remains.
    ///
    /// # Errors
    /// If records follow inside the step, or another step is the innermost.
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

    /// Number of steps that the guest has open.
    #[must_use]
    pub const fn open_steps(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// The innermost step that the guest has open.
    #[must_use]
    pub fn innermost(&self) -> Option<StepId> {
        self.frames.get(1..)?.last().map(|frame| frame.path.id())
    }

    /// Hash of the innermost open step's path, which separates the idempotency keys and random
    /// streams of steps. Zeros outside of all steps.
    #[must_use]
    pub fn path_hash(&self) -> Hash {
        self.frames.last().map_or_else(Hash::default, |frame| frame.path.to_bytes())
    }

    /// Path of the innermost open step for people, such as `order/charge#2`; empty outside of all
    /// steps.
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

    fn open(&mut self, step: Step, attempt: u32, not_before: Timestamp, at: Timestamp, fuel: Fuel) {
        let (name, ordinal) = (&step.name, step.ordinal);
        let record = Record::Open { name, ordinal, attempt, not_before: not_before.as_millis() };
        let (_, mark) = self.chunks.append(&record, at.as_millis(), fuel.get());
        self.opened.push(OpenStep { mark, step, attempt, not_before });
    }

    /// Drops the entries of the innermost open step, its beginning included.
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
}

/// Formats a step's path for people.
pub(super) fn join(parent: &str, name: &str, ordinal: u32) -> String {
    let slash = if parent.is_empty() { "" } else { "/" };
    if ordinal == 1 { format!("{parent}{slash}{name}") } else { format!("{parent}{slash}{name}#{ordinal}") }
}
