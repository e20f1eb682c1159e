//! Waits on a simulated clock: for a time, a signal, or the end of a child, which is executed to
//! its end during the wait.

use super::drive;
use super::failure::cancelled;
use super::limits;
use super::run::{Exit, Fake, leave};
use super::world::{ChildEnd, ChildOutcome};
use crate::bindings::imports::tidemill::guest::durable::WaitFor;
use serde::{Deserialize, Serialize};
use tidemill_core::{Code, Failure};

/// How a child ended, as the journal records it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum RecordedOutcome {
    Succeeded(String),
    Failed(Failure),
    Cancelled,
}

impl RecordedOutcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Succeeded(output) => output.len(),
            Self::Failed(failed) => failed.message.len() + failed.details.as_ref().map_or(0, String::len),
            Self::Cancelled => 0,
        }
    }
}

/// The result of waiting for the first of several events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum WaitResult {
    Signal(u32, String),
    Outcome(u32, RecordedOutcome),
    Timeout,
}

impl Fake {
    fn refuse_in_step(&self) -> Result<(), Failure> {
        if self.in_step() {
            return Err(Code::WaitInStep.failure("a step may not wait or start runs"));
        }
        Ok(())
    }

    /// Refuses inside a step, and if the run is being cancelled.
    pub(super) fn may_start(&self) -> Result<(), Failure> {
        self.refuse_in_step()?;
        if self.run.borrow().notified {
            return Err(cancelled());
        }
        Ok(())
    }

    /// Sleeps until a time. A cancellation ends the sleep.
    pub(super) fn wait_until(&self, at: u64) -> Result<(), Failure> {
        self.refuse_in_step()?;
        self.commit();
        drive::children(self);
        self.pass_unless_cancelled(at)
    }

    /// Moves the clock to a time, or to an earlier cancellation.
    pub(super) fn pass_unless_cancelled(&self, at: u64) -> Result<(), Failure> {
        let cancel = self.cancel_at.get().filter(|cancel| *cancel <= at && !self.run.borrow().notified);
        self.pass_to(cancel.unwrap_or(at));
        if cancel.is_some() { Err(cancelled()) } else { Ok(()) }
    }

    pub(super) fn await_first(&self, any_of: &[WaitFor], timeout: Option<u64>) -> Result<WaitResult, Failure> {
        self.refuse_in_step()?;
        self.commit();
        drive::children(self);
        let until = timeout.map(|span| self.now().saturating_add(span));
        // The earliest event; of several at the same time, the first in the list.
        let mut first: Option<(u64, WaitResult, Option<usize>)> = None;
        for (index, wait) in any_of.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let found = match wait {
                WaitFor::Signal(name) => {
                    self.signal(name).map(|(place, at, payload)| (at, WaitResult::Signal(index, payload), Some(place)))
                }
                WaitFor::Run(id) => self.end_of(id)?.map(|(at, how)| (at, WaitResult::Outcome(index, how), None)),
            };
            if let Some(found) = found
                && first.as_ref().is_none_or(|(at, ..)| found.0 < *at)
            {
                first = Some(found);
            }
        }
        let first = first.filter(|(at, ..)| until.is_none_or(|until| *at <= until || *at <= self.now()));
        match (first, until) {
            (Some((at, came, place)), _) => {
                self.pass_unless_cancelled(at.max(self.now()))?;
                if let Some(place) = place {
                    self.write(|layer| layer.taken.push(place));
                }
                Ok(came)
            }
            (None, Some(until)) => self.pass_unless_cancelled(until).map(|()| WaitResult::Timeout),
            (None, None) => self.for_ever(any_of),
        }
    }

    pub(super) fn await_all(
        &self,
        runs: &[String],
        timeout: Option<u64>,
    ) -> Result<Option<Vec<RecordedOutcome>>, Failure> {
        self.refuse_in_step()?;
        self.commit();
        drive::children(self);
        let until = timeout.map(|span| self.now().saturating_add(span));
        let mut last = self.now();
        let mut outcomes = Vec::new();
        for id in runs {
            match self.end_of(id)? {
                Some((at, how)) if until.is_none_or(|until| at <= until) => {
                    last = last.max(at);
                    outcomes.push(how);
                }
                _ => match until {
                    Some(until) => return self.pass_unless_cancelled(until).map(|()| None),
                    None => return self.for_ever(&[WaitFor::Run(id.clone())]),
                },
            }
        }
        self.pass_unless_cancelled(last)?;
        limits::outcomes(outcomes.iter().map(RecordedOutcome::bytes).sum())?;
        Ok(Some(outcomes))
    }

    /// Waits until a cancellation.
    fn for_ever<T>(&self, waits: &[WaitFor]) -> Result<T, Failure> {
        match self.cancel_at.get() {
            Some(at) if !self.run.borrow().notified => {
                self.pass_to(at);
                Err(cancelled())
            }
            _ => leave(Exit::WaitsForEver(waits.to_vec())),
        }
    }

    /// Returns the first unconsumed signal of this name: its position, time and payload.
    fn signal(&self, name: &str) -> Option<(usize, u64, String)> {
        let world = self.world.borrow();
        let run = self.run.borrow();
        let taken = |place: usize| run.layers.iter().any(|layer| layer.taken.contains(&place));
        let inbox = world.inboxes.get(&self.id)?;
        let waiting = inbox.iter().enumerate().filter(|(place, it)| it.name == name && !it.taken && !taken(*place));
        let (place, signal) = waiting.min_by_key(|(_, it)| it.at)?;
        Some((place, signal.at, signal.payload.clone()))
    }

    /// Returns when and how a child ended, or `None` if it never ends.
    fn end_of(&self, id: &str) -> Result<Option<(u64, RecordedOutcome)>, Failure> {
        let world = self.world.borrow();
        let child = world.children.iter().find(|child| child.started.id == id && child.parent == self.id);
        let Some(child) = child else {
            return Err(Code::BadArgument.failure(format!("run {id} was not started by this one")));
        };
        Ok(child.ended.clone().and_then(|ChildEnd { at, outcome }| {
            let how = match outcome {
                ChildOutcome::Succeeded(output) => RecordedOutcome::Succeeded(output),
                ChildOutcome::Failed(failed) => RecordedOutcome::Failed(Failure { retryable: false, ..failed }),
                ChildOutcome::Cancelled => RecordedOutcome::Cancelled,
                ChildOutcome::Never => return None,
            };
            Some((at, how))
        }))
    }
}
