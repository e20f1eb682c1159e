//! Builds checkpoints: the effects to commit and the replay snapshot to resume from when an
//! activation ends. Does not commit them.

use bytes::Bytes;
use tidemill_core::run::Export;
use tidemill_core::{Code, Failure};

use crate::activation::exports::ExportResult;
use crate::activation::result::{Checkpoint, NextAttempt, Outcome};
use crate::guest::GuestState;
use crate::guest::trap::Cause;
use crate::guest::trap::GuestStop;
use crate::replay::state::{ExitReason, JournalMark, OpenTransaction, ReplaySnapshot, RollbackMarks};
use crate::transaction::Transaction;

impl GuestState {
    /// Returns what a failed attempt leaves to the next attempt, given the generation's fuel.
    pub fn retry_checkpoint(&mut self, fuel: u64) -> Checkpoint {
        let kept = self.history.marks.kept;
        self.history.entry_fuel = fuel;
        Checkpoint {
            effects: self.transaction.kept_effects(),
            journal_to: kept.at,
            snapshot: self.snapshot_at(self.transaction.after_retry(), kept),
        }
    }

    /// Returns the hints of the last request outside all steps for the next attempt, if the run
    /// ends with `failure`.
    pub fn next_attempt(&self, failure: &Failure) -> NextAttempt {
        let next = self.history.frames.first().map(|frame| frame.next_attempt).unwrap_or_default();
        NextAttempt { refused: next.refused && failure.code == Code::HttpCircuitOpen.as_str(), ..next }
    }

    /// Returns the checkpoint of a run that has recorded nothing since its last commit or load.
    pub fn unchanged_checkpoint(&mut self) -> Checkpoint {
        let snapshot = self
            .history
            .snapshot
            .take()
            .map_or_else(|| self.open_snapshot().ok().flatten(), |snapshot| written(&snapshot));
        Checkpoint { journal_to: self.history.journal.position(), snapshot, ..Checkpoint::default() }
    }

    /// Ends the replay when the guest returns.
    ///
    /// # Errors
    /// If the journal holds more entries, or the guest returned success with an open step.
    pub fn finish_replay(&mut self, returned: &ExportResult) -> wasmtime::Result<()> {
        if self.export == Export::Health {
            return Ok(());
        }
        self.history.journal.end().map_err(|mismatch| self.mismatch(&mismatch))?;
        self.go_live()?;
        if returned.result.is_ok() && self.history.depth() > 0 {
            let step = self.history.journal.step_path();
            let message = format!(
                "the run returned with step `{step}` still open: end the step before returning, or its work is lost"
            );
            return Err(GuestStop::new(Code::StepOrder, message).into());
        }
        Ok(())
    }

    /// Returns what the whole attempt leaves.
    pub fn full_checkpoint(&mut self) -> Checkpoint {
        self.transaction.entry();
        Checkpoint { effects: self.transaction.effects(), journal_to: self.history.journal.position(), snapshot: None }
    }

    /// Returns the start of the transaction and the replay snapshot to redo it from.
    pub fn redo_checkpoint(&self) -> Checkpoint {
        let RollbackMarks { first, first_kept, .. } = self.history.marks;
        let transaction = self.transaction.after_redo();
        let marks = RollbackMarks { kept: first_kept, first, first_kept };
        let open =
            (!transaction.is_blank() || first_kept != first).then_some(OpenTransaction { stretch: transaction, marks });
        let counts = self.counts();
        // A notice given since the start of the transaction is given again.
        let notice = counts.notice.filter(|notice| notice.entry <= first.at);
        let snapshot = ReplaySnapshot { at: first.at, fuel: self.history.first_fuel, open, notice, ..counts };
        Checkpoint { journal_to: first.at, snapshot: written(&snapshot), ..Checkpoint::default() }
    }

    fn snapshot_at(&self, transaction: Transaction, mark: JournalMark) -> Option<Bytes> {
        let open = (!transaction.is_blank())
            .then_some(OpenTransaction { stretch: transaction, marks: RollbackMarks::at(mark) });
        written(&ReplaySnapshot { at: mark.at, open, ..self.counts() })
    }

    /// Returns the counts of a replay snapshot, without an open transaction or later log lines.
    fn counts(&self) -> ReplaySnapshot {
        let (_, log_bytes) = self.log.counts();
        let (http_calls, http_bytes) = self.usage.counts();
        let (fuel, notice) = (self.history.entry_fuel, self.history.notice);
        ReplaySnapshot { fuel, log_bytes, http_calls, http_bytes, notice, ..ReplaySnapshot::default() }
    }

    /// Returns how the activation ended if it ended with neither a failure nor an output.
    pub fn exit_outcome(&mut self) -> Option<Outcome> {
        Some(match self.history.exit.as_ref()? {
            ExitReason::Retry => {
                let failure = Code::Conflict.failure("another run has changed a value that this run read");
                Outcome::Failed { failure, cause: Cause::Host }
            }
            ExitReason::Suspend => Outcome::Suspended,
            ExitReason::ContinueAsNew(input) => Outcome::ContinueAsNew { input: input.clone() },
            ExitReason::Mismatch(failure) => Outcome::Failed { failure: failure.clone(), cause: Cause::Mismatch },
            ExitReason::Replayed => Outcome::Suspended,
        })
    }
}

fn written(snapshot: &ReplaySnapshot) -> Option<Bytes> {
    // An equal or larger snapshot was encoded before, so this cannot fail.
    snapshot.write(0).ok().flatten()
}
