//! The input and result of one activation of a run: the interface between the control plane, which
//! decides that a run executes, and the sandbox, which executes it.

pub(crate) mod execute;
pub(crate) mod exports;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::journal::{Journal, JournalChange, Position};
use tidemill_core::manifest::Grants;
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::{Export, Progress, Seed, Trigger, Wait};
use tidemill_core::{
    ComponentDigest, DeploymentName, EventId, Failure, Fuel, Limits, Revision, RunId, Timestamp, Topic,
};
use tidemill_store::records::{FailureRecord, LogLine, NewPosting, ReadCheck, StateWrite};

use crate::component::module::Module;
use crate::guest::cancel::CancelToken;
use crate::guest::metrics::MetricSamples;

/// One stay of a run in memory: everything needed to execute it.
pub struct Activation {
    /// The compiled component.
    pub module: Arc<Module>,
    /// The export to call.
    pub export: Export,
    /// The input of the export as JSON text: for `workflow` the input itself, for `revenue-stream`
    /// the period `{"start": ms, "end": ms}`, for `webhook` a delivery. `health` reads none.
    pub input: Bytes,
    /// The run, its deployment and its limits.
    pub run: Arc<RunContext>,
    /// The journal of this generation, replayed first. It need not be rewound. A health check has
    /// none.
    pub journal: Journal,
    /// The replay snapshot stored with the journal, as the engine returned it; `None` if it
    /// returned none.
    pub head: Option<Bytes>,
    /// Fuel used by earlier attempts of this generation, as far as the caller knows. A higher
    /// figure in the journal or its snapshot takes precedence. The guest may use the rest of its
    /// limit; replay is counted separately.
    pub fuel_used: Fuel,
    /// Cancels the run.
    pub cancel: CancelToken,
    /// Receives what the run does while it executes.
    pub sink: Arc<dyn RunChannel>,
}

/// What a guest can learn about its run, and the run's limits.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The run.
    pub id: RunId,
    /// The run's deployment; also the stream of its postings.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component that the run executes.
    pub component: ComponentDigest,
    /// The idempotency key.
    pub key: Option<String>,
    /// What started the run.
    pub trigger: Trigger,
    /// When the run was requested.
    pub created_at: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Number of the generation, from 1.
    pub generation: u32,
    /// The deployment's configuration: the text of one JSON value.
    pub config: Arc<str>,
    /// The run's limits.
    pub limits: Limits,
    /// The run's grants if [`RunChannel::grants`] returns none.
    pub grants: Arc<Grants>,
    /// Retry policy of steps that name none: the deployment's.
    pub step_retry: RetryPolicy,
    /// Seed of the run's random generators.
    pub seed: Seed,
    /// Sequence number of the next log line.
    pub next_log_seq: u64,
    /// Number of times that the open transaction was refused because of a conflict, and redone.
    pub redone: u32,
}

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
    /// may be saved with it or separately: [`RunContext::next_log_seq`] tells which were.
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

    /// Returns the deployment's current grants; `None` means [`RunContext::grants`]. Read at each
    /// call that needs a grant, so that a revoked grant also applies to runs in memory.
    fn grants(&self) -> Option<Arc<Grants>> {
        None
    }

    /// Called before a live read of a state key from the store. Waits at most one second for the
    /// run's turn if others change the key at the same time. Returns whether the run may read the
    /// newest value, which may never become durable: only if everything that the run does is
    /// committed with a check of its reads.
    async fn before_read(&self, key: &str) -> bool {
        let _ = key;
        false
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

/// The content of a transaction at a commit point, or when it is saved.
#[derive(Debug)]
pub struct PendingCommit {
    /// Effects to commit; empty if there are none.
    pub effects: Effects,
    /// The change of the journal since the last commit or save.
    pub journal: Option<JournalChange>,
    /// The new replay snapshot; `None` removes it.
    pub head: Option<Bytes>,
    /// Fuel used by this activation so far, without replay.
    pub fuel: Fuel,
    /// Peak size of all memories and tables so far, in bytes.
    pub peak_memory: u64,
    /// Number of journal entries.
    pub journal_entries: u64,
    /// Whether the guest is notified of a cancellation.
    pub told: bool,
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
            head: None,
            fuel: Fuel::default(),
            peak_memory: 0,
            journal_entries: 0,
            told: false,
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
    /// [`ActivationResult::redo`].
    Retry,
    /// Committed, and the run leaves memory: the activation ends as [`Outcome::Suspended`].
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

/// A sample of a guest's own metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// How the value is combined.
    pub kind: MetricKind,
    /// 1 to 64 lower-case letters, digits and underscores, the first a letter.
    pub name: String,
    /// A finite number; not negative for a counter.
    pub value: f64,
    /// At most 8 names, formed as `name` is, with values of at most 128 bytes.
    pub labels: Vec<(String, String)>,
}

/// The kinds of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetricKind {
    /// Adds to a counter.
    Count,
    /// Sets a gauge.
    Gauge,
    /// Adds a value to a histogram.
    Observe,
}

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
    pub told: bool,
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
    pub head: Option<Bytes>,
}

/// The reads and effects of a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What the commit must find unchanged.
    pub reads: Vec<ReadCheck>,
    /// Writes to the deployment's state, at most one for each key.
    pub writes: Vec<StateWrite>,
    /// Postings to the ledger, in order.
    pub postings: Vec<NewPosting>,
    /// Runs to start, in order.
    pub starts: Vec<StartRun>,
    /// Signals to send, in order.
    pub signals: Vec<SentSignal>,
    /// Events to publish, in order.
    pub events: Vec<SentEvent>,
    /// Positions of the signals taken from the run's own inbox.
    pub taken: Vec<u64>,
    /// Runs to cancel.
    pub cancels: Vec<RunId>,
    /// Children whose failure or cancellation the run has observed: a retry of the run leaves them
    /// alone.
    pub observed: Vec<RunId>,
    /// Samples of the guest's own metrics, counted after the commit.
    pub samples: MetricSamples,
}

/// A run that another run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRun {
    /// The run's id, derived from the parent's.
    pub id: RunId,
    /// The deployment to run.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component to execute.
    pub component: ComponentDigest,
    /// The export to call.
    pub export: Export,
    /// The JSON text of the input.
    #[serde(with = "crate::blob::field")]
    pub input: Bytes,
    /// The idempotency key: the parent's choice, or derived from the parent and its call.
    pub key: String,
    /// Names and values to find the run by.
    pub labels: Vec<(String, String)>,
    /// From 1 (last) to 9 (first).
    pub priority: u8,
    /// When the run was requested.
    pub at: Timestamp,
    /// Earliest time of its admission.
    pub not_before: Timestamp,
    /// Whether the run continues when its parent ends.
    pub detached: bool,
    /// Seed derived from the parent's.
    pub seed: Seed,
}

/// A signal that a run sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentSignal {
    /// The receiving run.
    pub to: RunId,
    /// The signal's name.
    pub name: String,
    /// The JSON text of the payload.
    #[serde(with = "crate::blob::field")]
    pub payload: Bytes,
    /// The sender and its call: the same in every replay, so that the signal arrives once.
    pub key: String,
}

/// An event that a run publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentEvent {
    /// The event's id, derived from the run and its call.
    pub id: EventId,
    /// The topic.
    pub topic: Topic,
    /// The JSON text of the payload.
    #[serde(with = "crate::blob::field")]
    pub payload: Bytes,
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
    /// The run left memory to wait, because of [`CommitOutcome::Suspend`]; everything is committed.
    Suspended,
    /// The same run continues with another input, an empty journal and the next generation.
    ContinueAsNew {
        /// The JSON text of the new input.
        input: Bytes,
    },
}

/// The source of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The export returned it.
    Guest,
    /// The guest trapped, called exit, or returned an invalid value.
    Trap,
    /// The run reached one of its limits.
    Limit,
    /// The host could not execute the run.
    Host,
    /// The guest's calls differ from the journal. A retry does not help, and the run is parked.
    Mismatch,
    /// The run was cancelled, or the host shuts down.
    Cancelled,
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
            told: false,
            next_attempt: NextAttempt::default(),
        }
    }
}
