//! What goes into one activation of a run and what comes out: the border between those who decide that a run
//! executes and the sandbox that executes it.

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

/// One stay of a run in memory: everything that executing it needs.
pub struct Activation {
    /// The component's code.
    pub module: Arc<Module>,
    /// Which export is called.
    pub export: Export,
    /// What the export is given, as JSON text: for `workflow` the input itself, for `revenue-stream` the period
    /// `{"start": ms, "end": ms}`, for `webhook` a delivery; nothing is read for `health`.
    pub input: Bytes,
    /// Who and why.
    pub run: Arc<RunContext>,
    /// What is recorded of this generation: replayed first. It need not be rewound. A health check has none.
    pub journal: Journal,
    /// What was saved beside that journal, as the engine gave it; none where it gave none.
    pub head: Option<Bytes>,
    /// What earlier attempts of this generation used up, as far as the caller knows; the journal and its head know better
    /// where they know more. The limit less this is what the guest may use now; replay is counted apart.
    pub fuel_used: Fuel,
    /// Tells the guest to end.
    pub cancel: CancelToken,
    /// Takes what the guest says while it runs.
    pub sink: Arc<dyn RunChannel>,
}

/// What a guest can learn about its run, and what bounds it.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The run.
    pub id: RunId,
    /// The deployment it belongs to; also the stream that its postings go to.
    pub deployment: DeploymentName,
    /// The revision it runs in.
    pub revision: Revision,
    /// The component it executes.
    pub component: ComponentDigest,
    /// Its idempotency key.
    pub key: Option<String>,
    /// What started it.
    pub trigger: Trigger,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Counts from 1.
    pub attempt: u32,
    /// Counts from 1.
    pub generation: u32,
    /// The deployment's configuration: the text of one JSON value.
    pub config: Arc<str>,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach, where [`RunChannel::grants`] says nothing else.
    pub grants: Arc<Grants>,
    /// How its steps are tried again that name no policy: as the deployment says.
    pub step_retry: RetryPolicy,
    /// What its randomness comes from.
    pub seed: Seed,
    /// The place of its next log line.
    pub next_log_seq: u64,
    /// How often the stretch that it goes on with was refused, and so is done again.
    pub redone: u32,
}

/// Takes what a run says and does while it goes on. Those methods that are not async return at once and never fail.
#[async_trait]
pub trait RunChannel: Send + Sync + 'static {
    /// A commit point in the middle of a run: everything that the stretch holds takes hold, durably, and the run is visible from
    /// then on. The first one of a run makes it visible. At [`CommitReason::BackOff`] nothing takes hold: it is saved, and the run waits.
    ///
    /// # Errors
    /// Where that is impossible, the run ends with this failure; the request that should leave does not.
    async fn commit(&self, stretch: PendingCommit) -> Result<CommitOutcome, Failure>;

    /// Saves what an open stretch has recorded, without anything taking hold, so that a crash costs little; says whether it is
    /// saved: what is not is given again with the next. Lines may be saved with it or apart: [`RunContext::next_log_seq`] says which were.
    async fn save(&self, stretch: PendingCommit) -> bool;

    /// What a run of another deployment with that input would be, were it started by `parent` now.
    ///
    /// # Errors
    /// Where there is no such deployment, or it takes no such runs.
    async fn target(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        export: Option<Export>,
        input: &[u8],
    ) -> Result<StartTarget, Failure>;

    /// Whether a run of that revision of a deployment takes such a signal.
    ///
    /// # Errors
    /// Why not.
    async fn check_signal(
        &self,
        _deployment: &DeploymentName,
        _revision: Revision,
        _name: &str,
        _payload: &[u8],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// What the deployment may reach at this moment: asked at each call that needs a grant, so that one that is taken back holds for what is in
    /// memory too. None leaves it at [`RunContext::grants`].
    fn grants(&self) -> Option<Arc<Grants>> {
        None
    }

    /// Called before a key of the deployment's state is read from the store, live. Waits for the run's turn if others change the
    /// key at the same time, for a second at most. Says whether the newest value may be read, which may never become durable:
    /// only if everything that the run does is committed with a check of what it read.
    async fn before_read(&self, key: &str) -> bool {
        let _ = key;
        false
    }

    /// A line of the run's log; `seq` rises by one with each. Replay repeats none.
    fn log(&self, line: LogLine);

    /// An attempt of a step failed. Replay repeats none.
    fn failed(&self, _failure: FailureRecord) {}

    /// How far the run has come.
    fn progress(&self, progress: Progress);

    /// What the run says of itself: the text of a JSON value of at most 64 KiB.
    fn status(&self, json: String);
}

/// What a stretch holds at a commit point, or when it is saved.
#[derive(Debug)]
pub struct PendingCommit {
    /// What takes hold; empty where nothing does.
    pub effects: Effects,
    /// What of the journal is to be written since the last commit or save.
    pub journal: Option<JournalChange>,
    /// What stands beside the journal from now on; none removes it.
    pub head: Option<Bytes>,
    /// What this activation has used up so far, replay apart.
    pub fuel: Fuel,
    /// The most that all its memories and tables held together so far, in bytes.
    pub peak_memory: u64,
    /// How many entries the journal holds.
    pub journal_entries: u64,
    /// Whether the guest knows that it is to end.
    pub told: bool,
    /// Why.
    pub point: CommitReason,
}

impl PendingCommit {
    /// A stretch in which nothing has happened.
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

/// Why a stretch is committed or saved in the middle of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitReason {
    /// It is only saved; never given to [`RunChannel::commit`].
    Save,
    /// A request that is neither GET nor HEAD is about to leave, or the reads of a step are to be settled.
    Leaving,
    /// The run waits: it is suspended, and goes on when the wait holds, its time is over, or it is cancelled.
    Wait(Wait),
    /// A failed step waits until its next attempt. Nothing takes hold.
    BackOff {
        /// When at the earliest.
        until: Timestamp,
    },
}

/// What a commit in the middle of a run led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is done: the run goes on. After a wait: it may have come, the engine looks.
    Continue,
    /// Something that it read has changed, and nothing took hold: the activation ends with [`ActivationResult::redo`].
    Retry,
    /// It is done, and the run is to leave memory: the activation ends as [`Outcome::Suspended`].
    Suspend,
}

/// What a started run would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTarget {
    /// The deployment's present revision,
    pub revision: Revision,
    /// its component,
    pub component: ComponentDigest,
    /// and the export that is called.
    pub export: Export,
    /// 1 to 9: the deployment's own.
    pub priority: u8,
    /// How many runs more the deployment's queue takes,
    pub queue_room: u64,
    /// and how many more that are not detached the parent may start. `None` if the parent is at the maximum depth, and may start none.
    pub child_room: Option<u64>,
}

/// A sample of a guest's own metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What is done with the value.
    pub kind: MetricKind,
    /// 1 to 64 lower-case letters, digits and underscores, the first a letter.
    pub name: String,
    /// A finite number; of a count not negative.
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
    /// Goes into a histogram.
    Observe,
}

/// How an activation ended and what it leaves to be committed.
#[derive(Debug)]
pub struct ActivationResult {
    /// Output or failure.
    pub outcome: Outcome,
    /// What takes hold where the run succeeded, goes on as new, or was cancelled: all of it. Where [`ActivationResult::redo`] is set or the
    /// run is suspended, this has no effects, and says with which head the run is activated again.
    pub all: Checkpoint,
    /// What takes hold where the attempt failed and is tried again, or the run is parked: what a retry keeps.
    pub kept: Checkpoint,
    /// Where a commit of these is refused because a read has changed: the journal is cut to this, and the run activated again with
    /// this head. It has no effects.
    pub again: Checkpoint,
    /// The journal as it stands. Cut it to [`Checkpoint::journal_to`] of what takes hold before it is written; a redone one is cut already.
    /// None where the host lost it by a failure of its own: what is stored, journal and head, is left as it is.
    pub journal: Option<Journal>,
    /// What this activation used up, host calls included, replay apart.
    pub fuel: Fuel,
    /// The most that all its memories and tables held together, in bytes.
    pub peak_memory: u64,
    /// Set where a read has changed already while it ran: committing is in vain. Activate the run again with this journal and the
    /// head of [`ActivationResult::all`].
    pub redo: bool,
    /// Whether the guest knew that it was to end.
    pub told: bool,
    /// What the last answer said about the next attempt, if the guest failed.
    pub next_attempt: NextAttempt,
}

/// What the other side of the last request says about the next attempt of a step or run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextAttempt {
    /// It is of no use earlier than this.
    pub not_before: Option<Timestamp>,
    /// An open circuit refused the request, so that the attempt could not do its work: it does not count.
    pub refused: bool,
}

/// What an activation leaves, up to a point of its journal.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// What it read, wrote and posted; belongs into one commit with the run's next state.
    pub effects: Effects,
    /// The journal is kept up to here.
    pub journal_to: Position,
    /// What stands beside it.
    pub head: Option<Bytes>,
}

/// What a stretch leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What the commit must find unchanged.
    pub reads: Vec<ReadCheck>,
    /// What is written to the deployment's state; one change a key.
    pub writes: Vec<StateWrite>,
    /// What is posted to the ledger, in order.
    pub postings: Vec<NewPosting>,
    /// Runs to start, in order.
    pub starts: Vec<StartRun>,
    /// Signals to send, in order.
    pub signals: Vec<SentSignal>,
    /// Events to publish, in order.
    pub events: Vec<SentEvent>,
    /// The places of the signals that were taken from the run's own inbox.
    pub taken: Vec<u64>,
    /// Runs that are asked to end.
    pub cancels: Vec<RunId>,
    /// Children whose failure or cancellation the run has learned: trying it again leaves them alone.
    pub observed: Vec<RunId>,
    /// Samples of the guest's own metrics, to be counted once the commit is done.
    pub samples: MetricSamples,
}

/// A run that another one starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRun {
    /// Its id, made from the parent's.
    pub id: RunId,
    /// What runs.
    pub deployment: DeploymentName,
    /// In which revision,
    pub revision: Revision,
    /// with which component.
    pub component: ComponentDigest,
    /// Which export.
    pub export: Export,
    /// The JSON text of its input.
    #[serde(with = "crate::blob::field")]
    pub input: Bytes,
    /// Its idempotency key: the parent's own, or one made from the parent and its call.
    pub key: String,
    /// Names and values to find it by.
    pub labels: Vec<(String, String)>,
    /// 1 (last) to 9 (first).
    pub priority: u8,
    /// When it was asked for.
    pub at: Timestamp,
    /// Not to be admitted earlier than this.
    pub not_before: Timestamp,
    /// Goes on when its parent ends.
    pub detached: bool,
    /// Made from the parent's.
    pub seed: Seed,
}

/// A signal that a run sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentSignal {
    /// To this run.
    pub to: RunId,
    /// Its name.
    pub name: String,
    /// The JSON text of what it carries.
    #[serde(with = "crate::blob::field")]
    pub payload: Bytes,
    /// The sender and its call: the same in every replay, so that it arrives once.
    pub key: String,
}

/// An event that a run publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentEvent {
    /// Its id, made from the run and its call.
    pub id: EventId,
    /// Where to.
    pub topic: Topic,
    /// The JSON text of what it says.
    #[serde(with = "crate::blob::field")]
    pub payload: Bytes,
}

/// What an activation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The JSON text of what the export answered. For `webhook` it is `{"status", "headers", "body"}` with the body in base64,
    /// for `health` `{"status": "healthy" | "degraded" | "unhealthy", "reason"?}`.
    Output(Bytes),
    /// It did not succeed.
    Failed {
        /// Why.
        failure: Failure,
        /// Who is to blame.
        cause: Cause,
    },
    /// It left memory while it waits, as [`CommitOutcome::Leave`] said; everything is committed.
    Suspended,
    /// It goes on as the same run with another input, an empty journal and the next generation.
    ContinueAsNew {
        /// The JSON text of that input.
        input: Bytes,
    },
}

/// Where a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The export returned it.
    Guest,
    /// The guest trapped, called exit, or answered what is not valid.
    Trap,
    /// It met one of its limits.
    Limit,
    /// The host could not carry it out.
    Host,
    /// What it does is not what is recorded; trying again does not help, and the run is parked.
    Mismatch,
    /// It was cancelled, or the host shuts down.
    Cancelled,
}

/// What replaying a journal, and no more, came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRun {
    /// The component can continue the run: it did all that is recorded and came to something new, or to its end.
    Continues,
    /// It does something else than is recorded.
    Mismatch(Failure),
    /// It failed by itself before it had done all that is recorded.
    Failed(Failure),
}

impl ActivationResult {
    /// What an activation without a journal leaves: the same effects whatever becomes of it, but that a failed attempt keeps none.
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
