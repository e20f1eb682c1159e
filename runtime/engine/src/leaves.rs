//! What an activation leaves: what takes hold where it went well, what a retry keeps, and from where it is done again.

use bytes::Bytes;
use tidemill_core::run::Export;
use tidemill_core::{Code, Failure};

use crate::activation::{Cause, Left, NextAttempt, Outcome};
use crate::end::End;
use crate::execute::Returned;
use crate::guest::Guest;
use crate::history::{Exit, Head, Mark, Marks, Open};
use crate::stretch::Stretch;

impl Guest {
    /// What an attempt that failed leaves to the next.
    pub fn kept(&mut self, fuel: u64) -> Left {
        let kept = self.history.marks.kept;
        self.history.entry_fuel = fuel;
        Left {
            effects: self.stretch.kept_effects(),
            journal_to: kept.at,
            head: self.head_at(self.stretch.after_retry(), kept),
        }
    }

    /// What the last request outside of all steps says about the next attempt, if the run ends with this failure.
    pub fn next_attempt(&self, failure: &Failure) -> NextAttempt {
        let next = self.history.frames.first().map(|frame| frame.next_attempt).unwrap_or_default();
        NextAttempt { refused: next.refused && failure.code == Code::HttpCircuitOpen.as_str(), ..next }
    }

    /// What is there where nothing has come to it since it was committed or loaded.
    pub fn as_it_was(&mut self) -> Left {
        let head = self.history.head.take().map_or_else(|| self.open_head().ok().flatten(), |head| written(&head));
        Left { journal_to: self.history.journal.position(), head, ..Left::default() }
    }

    /// The guest has returned.
    ///
    /// # Errors
    /// Where more is recorded, or it succeeded with a step still open.
    pub fn returns(&mut self, returned: &Returned) -> wasmtime::Result<()> {
        if self.export == Export::Health {
            return Ok(());
        }
        self.history.journal.end().map_err(|mismatch| self.mismatch(&mismatch))?;
        self.go_live()?;
        if returned.result.is_ok() && self.history.depth() > 0 {
            let step = self.history.journal.step_path();
            let message = format!("the run returned with step `{step}` still open: what it did there would be lost");
            return Err(End::new(Code::StepOrder, message).into());
        }
        Ok(())
    }

    /// What the whole attempt leaves.
    pub fn all(&mut self) -> Left {
        self.stretch.entry();
        Left { effects: self.stretch.effects(), journal_to: self.history.journal.position(), head: None }
    }

    /// Where the stretch begins, and with which head it is done again from there.
    pub fn again(&self) -> Left {
        let Marks { first, first_kept, .. } = self.history.marks;
        let stretch = self.stretch.after_redo();
        let marks = Marks { kept: first_kept, first, first_kept };
        let open = (!stretch.is_blank() || first_kept != first).then_some(Open { stretch, marks });
        let counts = self.counts();
        // What was told since is told again.
        let told = counts.told.filter(|told| told.entry <= first.at);
        let head = Head { at: first.at, fuel: self.history.first_fuel, open, told, ..counts };
        Left { journal_to: first.at, head: written(&head), ..Left::default() }
    }

    fn head_at(&self, stretch: Stretch, mark: Mark) -> Option<Bytes> {
        let open = (!stretch.is_blank()).then_some(Open { stretch, marks: Marks::at(mark) });
        written(&Head { at: mark.at, open, ..self.counts() })
    }

    /// The counts of a head, without a stretch and lines after its entry.
    fn counts(&self) -> Head {
        let (_, log_bytes) = self.log.counts();
        let (http_calls, http_bytes) = self.usage.counts();
        let (fuel, told) = (self.history.entry_fuel, self.history.told);
        Head { fuel, log_bytes, http_calls, http_bytes, told, ..Head::default() }
    }

    /// How the activation ended, where that is no failure and no output.
    pub fn exited(&mut self) -> Option<Outcome> {
        Some(match self.history.exit.as_ref()? {
            Exit::Redo => {
                let failure = Code::Conflict.failure("another run has changed what this one had read");
                Outcome::Failed { failure, cause: Cause::Host }
            }
            Exit::Leave => Outcome::Suspended,
            Exit::AsNew(input) => Outcome::ContinueAsNew { input: input.clone() },
            Exit::Mismatch(failure) => Outcome::Failed { failure: failure.clone(), cause: Cause::Mismatch },
            Exit::Replayed => Outcome::Suspended,
        })
    }
}

fn written(head: &Head) -> Option<Bytes> {
    // What is written here was written before, or is part of it.
    head.write(0).ok().flatten()
}
