//! What a run requests from the control plane while it executes: commits, saves, and the receipt of
//! log lines, progress and status.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::health::HealthState;
use tidemill_core::journal::JournalChange;
use tidemill_core::manifest::Grants;
use tidemill_core::run::{Export, Progress, Wait};
use tidemill_core::{Code, ComponentDigest, DeploymentName, Failure, Fuel, Revision, RunId, Timestamp};
use tidemill_store::records::{FailureRecord, LogLine, OperatorAnswer, OperatorCall};

use crate::transaction::effects::Effects;

/// Receives what a run does while it executes. Methods that are not async return at once and never
/// fail.
#[async_trait]
pub trait RunChannel: Send + Sync + 'static {
    /// Commits a transaction in the middle of a run: all of its effects become durable. The first
    /// commit of a run makes the run visible. At [`CommitReason::BackOff`] nothing takes effect:
    /// the transaction is saved, and the run waits.
    ///
    /// # Errors
    /// If the commit is impossible. The run ends with this failure, and the request that was about
    /// to leave is not sent.
    async fn commit(&self, pending: PendingCommit) -> Result<CommitOutcome, Failure>;

    /// Saves what an open transaction has recorded, without effect, so that a crash loses little.
    /// Returns whether it is saved: if not, the next save or commit contains it again. Log lines
    /// may be saved with it or separately: `RunContext::next_log_seq` tells which were.
    async fn save(&self, pending: PendingCommit) -> bool;

    /// Returns what a run of another deployment with that input would be if `parent` started it
    /// now.
    ///
    /// # Errors
    /// If the deployment does not exist, or does not accept such a run.
    async fn target(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        export: Option<Export>,
        input: &[u8],
    ) -> Result<StartTarget, Failure>;

    /// Checks that a run of that revision of a deployment accepts a signal.
    ///
    /// # Errors
    /// The reason for which the signal is refused.
    async fn check_signal(
        &self,
        _deployment: &DeploymentName,
        _revision: Revision,
        _name: &str,
        _payload: &[u8],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Acts on another deployment for a call of the run. A call that took effect before changes
    /// nothing and gets its first answer. If the store fails, it waits; the caller may drop it, and
    /// an action that has begun is completed all the same.
    ///
    /// # Errors
    /// The reason for which the action is refused.
    async fn operate(&self, call: OperatorCall, request: OperatorRequest) -> Result<OperatorAnswer, Failure> {
        let _ = request;
        Err(Code::NotAvailable.failure(format!("this host cannot {} `{}`", call.action, call.deployment)))
    }

    /// Returns the health of another deployment.
    ///
    /// # Errors
    /// If there is no such deployment.
    async fn health_of(&self, deployment: &DeploymentName) -> Result<ObservedHealth, Failure> {
        Err(Code::NotAvailable.failure(format!("this host does not know the health of `{deployment}`")))
    }

    /// Returns the deployment's current grants; `None` means `RunContext::grants`. Read at each
    /// call that needs a grant, so that a revoked grant also applies to runs in memory.
    fn grants(&self) -> Option<Arc<Grants>> {
        None
    }

    /// Called before a live read of a state key. Waits at most one second for the run's turn if
    /// others change the key at the same time. Returns what the run reads. A value that may never
    /// become durable is returned only if everything that the run does is committed with a check of
    /// its reads.
    async fn before_read(&self, key: &str) -> StateSource {
        let _ = key;
        StateSource::Durable
    }

    /// Called when a transaction is complete, before its commit. The run whose turn is next may
    /// then read what the transaction writes.
    fn before_commit(&self, effects: &Effects) {
        let _ = effects;
    }

    /// Receives a line of the run's log; `seq` increases by one with each. Replay repeats none.
    fn log(&self, line: LogLine);

    /// Receives the failure of a step's attempt. Replay repeats none.
    fn failed(&self, _failure: FailureRecord) {}

    /// Receives the run's progress.
    fn progress(&self, progress: Progress);

    /// Receives the run's status: the text of a JSON value of at most 64 KiB.
    fn status(&self, json: String);
}

/// What a live read of a state key reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateSource {
    /// The durable value.
    Durable,
    /// The newest committed value, which may not be durable yet.
    Newest,
    /// This value, which the next commit of another run is to write. `None` means that it deletes
    /// the key.
    Forwarded(Option<Bytes>),
}

/// The content of a transaction at a commit point, or when it is saved.
#[derive(Debug)]
pub struct PendingCommit {
    /// Effects to commit; empty if there are none.
    pub effects: Effects,
    /// The change of the journal since the last commit or save.
    pub journal: Option<JournalChange>,
    /// The new replay snapshot; `None` removes it.
    pub snapshot: Option<Bytes>,
    /// Fuel used by this activation so far, without replay.
    pub fuel: Fuel,
    /// Peak size of all memories and tables so far, in bytes.
    pub peak_memory: u64,
    /// Number of journal entries.
    pub journal_entries: u64,
    /// Whether the guest is notified of a cancellation.
    pub notified: bool,
    /// The reason of the commit or save.
    pub point: CommitReason,
}

impl PendingCommit {
    /// Returns an empty transaction.
    #[must_use]
    pub fn nothing(point: CommitReason) -> Self {
        Self {
            effects: Effects::default(),
            journal: None,
            snapshot: None,
            fuel: Fuel::default(),
            peak_memory: 0,
            journal_entries: 0,
            notified: false,
            point,
        }
    }
}

/// Why a transaction is committed or saved in the middle of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitReason {
    /// It is only saved; never passed to [`RunChannel::commit`].
    Save,
    /// A request that is neither GET nor HEAD is about to leave, or the reads of a step are to be
    /// committed.
    Leaving,
    /// The run waits. It is suspended, and resumes when the condition holds, the deadline passes or
    /// it is cancelled.
    Wait(Wait),
    /// A failed step waits for its next attempt. Nothing takes effect.
    BackOff {
        /// Earliest time of the next attempt.
        until: Timestamp,
    },
}

/// The result of a commit in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Committed; the run continues. After a wait, the engine checks whether its condition holds.
    Continue,
    /// A read has changed, and nothing took effect: the activation ends with
    /// `ActivationResult::redo`.
    Retry,
    /// Committed, and the run leaves memory: the activation ends as `Outcome::Suspended`.
    Suspend,
}

/// Properties of a run that is about to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTarget {
    /// The deployment's current revision.
    pub revision: Revision,
    /// The component of that revision.
    pub component: ComponentDigest,
    /// The export that is called.
    pub export: Export,
    /// The deployment's own priority, from 1 to 9.
    pub priority: u8,
    /// Number of further runs that the deployment's queue accepts.
    pub queue_room: u64,
    /// Number of further attached runs that the parent may start. `None` if the parent is at the
    /// maximum depth, and may start none.
    pub child_room: Option<u64>,
}

/// What a run does to another deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorRequest {
    /// Pauses it.
    Pause,
    /// Resumes it.
    Resume,
    /// Returns it to a revision; `None` to the one before the present revision.
    Rollback(Option<Revision>),
    /// Retries at most this number of its parked runs.
    Retry(u32),
    /// Drops its resident instances and the code of its component.
    Recycle,
}

/// The health of a deployment as other runs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedHealth {
    /// Its health.
    pub state: HealthState,
    /// Whether it is paused.
    pub paused: bool,
}
