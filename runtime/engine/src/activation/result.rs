//! How an activation ended, and what it leaves to be committed.

use bytes::Bytes;
use tidemill_core::journal::{Journal, Position};
use tidemill_core::{Failure, Fuel, Timestamp};

use crate::guest::trap::Cause;
use crate::transaction::effects::Effects;

/// How an activation ended, and what it leaves to be committed.
#[derive(Debug)]
pub struct ActivationResult {
    /// The output or failure.
    pub outcome: Outcome,
    /// What to commit if the run succeeded, continues as new or was cancelled: everything. If
    /// [`ActivationResult::redo`] is set or the run is suspended, it has no effects, and holds the
    /// snapshot with which the run is activated again.
    pub all: Checkpoint,
    /// What to commit if the attempt failed and is retried, or the run is parked: what a retry
    /// keeps.
    pub kept: Checkpoint,
    /// Where to restart if a commit of the others is refused because of a read conflict: cut the
    /// journal to it, and activate the run again with its snapshot. It has no effects.
    pub again: Checkpoint,
    /// The journal. Cut it to [`Checkpoint::journal_to`] of the committed checkpoint before it is
    /// written; after a redo it is already cut. `None` if the host lost it in a failure of its own:
    /// leave the stored journal and snapshot unchanged.
    pub journal: Option<Journal>,
    /// Fuel used by this activation, host calls included, replay excluded.
    pub fuel: Fuel,
    /// Peak size of all memories and tables, in bytes.
    pub peak_memory: u64,
    /// Set if a read conflict was found while the run executed: a commit would fail. Activate the
    /// run again with this journal and the snapshot of [`ActivationResult::all`].
    pub redo: bool,
    /// Whether the guest was notified of a cancellation.
    pub notified: bool,
    /// Hints of the last response for the next attempt, if the guest failed.
    pub next_attempt: NextAttempt,
}

/// Hints of the last response for the next attempt of a step or run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextAttempt {
    /// An earlier attempt is useless.
    pub not_before: Option<Timestamp>,
    /// An open circuit refused the request, so that the attempt could not do its work: it does not
    /// count.
    pub refused: bool,
}

/// What an activation leaves, up to a position in its journal.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// Reads and effects; commit them together with the run's next state.
    pub effects: Effects,
    /// Position to which the journal is kept.
    pub journal_to: Position,
    /// The replay snapshot.
    pub snapshot: Option<Bytes>,
}

/// The outcome of an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The JSON text of the export's result. For `webhook` it is `{"status", "headers", "body"}`
    /// with the body in base64; for `health` it is `{"status": "healthy" | "degraded" |
    /// "unhealthy", "reason"?}`.
    Output(Bytes),
    /// The run did not succeed.
    Failed {
        /// The failure.
        failure: Failure,
        /// The source of the failure.
        cause: Cause,
    },
    /// The run left memory to wait, because of `CommitOutcome::Suspend`; everything is committed.
    Suspended,
    /// The same run continues with another input, an empty journal and the next generation.
    ContinueAsNew {
        /// The JSON text of the new input.
        input: Bytes,
    },
}

impl Outcome {
    /// Returns the name of the outcome, for the log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Output(_) => "output",
            Self::Failed { .. } => "failed",
            Self::Suspended => "suspended",
            Self::ContinueAsNew { .. } => "continue-as-new",
        }
    }
}

/// The result of replaying a journal without executing further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRun {
    /// The component can continue the run: it repeated every recorded call and reached a new one,
    /// or its end.
    Continues,
    /// A call differs from the journal.
    Mismatch(Failure),
    /// The guest failed before it had repeated every recorded call.
    Failed(Failure),
}

impl ActivationResult {
    /// Returns the result of an activation without a journal: the same effects for every outcome,
    /// except that a failed attempt keeps none.
    #[must_use]
    pub fn plain(outcome: Outcome, effects: Effects, fuel: Fuel, peak_memory: u64) -> Self {
        let kept = Effects { reads: effects.reads.clone(), ..Effects::default() };
        Self {
            outcome,
            all: Checkpoint { effects, ..Checkpoint::default() },
            kept: Checkpoint { effects: kept, ..Checkpoint::default() },
            again: Checkpoint::default(),
            journal: Some(Journal::empty()),
            fuel,
            peak_memory,
            redo: false,
            notified: false,
            next_attempt: NextAttempt::default(),
        }
    }
}
