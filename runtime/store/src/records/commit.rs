//! The commit of a transaction: its reads, its effects, and its effects on other runs.

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, Fuel, RunId, ScheduleName, Timestamp, Topic};

use super::{
    BalanceCheck, FailureRecord, LogLine, NewEntry, NewEvent, NewRun, NewSignal, ScanRequest, UndeliveredSignal,
    Version,
};
use crate::error::StoreError;

/// A read of a transaction, which the commit must find unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadCheck {
    /// A key of the deployment's state.
    State {
        /// The key.
        key: String,
        /// The version that was read.
        version: Version,
    },
    /// A scan of the deployment's state.
    Scan {
        /// The request of the scan.
        request: ScanRequest,
        /// The keys and versions that were read, in order.
        seen: Vec<(String, Version)>,
        /// Whether there were more keys.
        more: bool,
    },
    /// An external id of the stream.
    ExternalId {
        /// The id.
        external_id: String,
        /// The version that was read.
        version: Version,
    },
    /// What an account may give. The check compares the answer and no version.
    Balance(Box<BalanceCheck>),
}

/// A change of one key of the deployment's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// The key.
    pub key: String,
    /// The new value; `None` deletes the key.
    pub value: Option<Bytes>,
}

/// Whether the store already contains the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitStart {
    /// The run is not in the store yet: it was executed first, and this is its first commit. The
    /// commit reserves its idempotency key; if another run has the key, the caller receives that
    /// run.
    Fresh {
        /// The JSON text of its input.
        input: Bytes,
    },
    /// The run is in the store, in state running, and owned by the committer.
    Continues,
}

/// All effects of a transaction, which take effect together or not at all. [`RunCommit::of`]
/// creates a commit of only the run's record, so callers set only the fields that they use.
#[derive(Debug, Clone)]
pub struct RunCommit {
    /// The owner of the run. A stale epoch is refused.
    pub owner: Owner,
    /// Whether the store already contains the run.
    pub begins: CommitStart,
    /// The new record of the run. A cancellation request that only the store knows is kept.
    pub run: Run,
    /// The reads to check.
    pub reads: Vec<ReadCheck>,
    /// The writes to the deployment's state; one for each key.
    pub writes: Vec<StateWrite>,
    /// The entries of the ledger, in order.
    pub postings: Vec<NewEntry>,
    /// How long what the entries name as evidence is kept, in milliseconds.
    pub keep_evidence_millis: u64,
    /// Whether to leave out posted entries that the ledger has with the same content. Otherwise
    /// they are a conflict, because the module would have learned of the duplicate.
    pub leaves_out_duplicates: bool,
    /// External ids under which the run tried other content than it had posted in the transaction.
    /// Each becomes a finding.
    pub id_conflicts: Vec<String>,
    /// Log lines that are not in the store yet.
    pub logs: Vec<LogLine>,
    /// Failures that are not in the store yet. One of
    /// [`FailedPart::Cancellation`](super::FailedPart) adds a cancelled run to the runs that wait
    /// for a person.
    pub failures: Vec<FailureRecord>,
    /// The JSON text of the output, if the run succeeded.
    pub output: Option<Bytes>,
    /// The fuel of the run, if it has ended and its deployment may post: it is added to that of the
    /// stream.
    pub stream_fuel: Option<Fuel>,
    /// The new watermark of the stream, if a collection succeeded. The watermark never decreases.
    pub watermark: Option<Timestamp>,
    /// The change of the journal.
    pub journal: Option<JournalChange>,
    /// The replay snapshot, which the store does not interpret; `None` removes the stored one.
    pub snapshot: Option<Bytes>,
    /// Runs to start; `trigger.parent` of each is this run. A child that already exists is not
    /// created again.
    pub starts: Vec<NewRun>,
    /// Signals to send.
    pub signals: Vec<NewSignal>,
    /// Events to publish, in order.
    pub events: Vec<NewEvent>,
    /// Positions of the signals that the run took from its inbox.
    pub taken: Vec<u64>,
    /// Runs to cancel.
    pub cancels: Vec<RunId>,
    /// Children whose outcome the run has recorded. A retry of this run does not retry them.
    pub observed: Vec<RunId>,
    /// The new input, if the run continues as new.
    pub input: Option<Bytes>,
    /// The customer of the new input, if the run continues as new and its deployment has a budget
    /// of fuel.
    pub customer: Option<String>,
    /// The time of the commit.
    pub now: Timestamp,
}

impl RunCommit {
    /// Creates the commit of an existing run with no effect except its record.
    #[must_use]
    pub const fn of(owner: Owner, run: Run, now: Timestamp) -> Self {
        Self {
            owner,
            begins: CommitStart::Continues,
            run,
            reads: Vec::new(),
            writes: Vec::new(),
            postings: Vec::new(),
            keep_evidence_millis: 0,
            leaves_out_duplicates: false,
            id_conflicts: Vec::new(),
            logs: Vec::new(),
            failures: Vec::new(),
            output: None,
            stream_fuel: None,
            watermark: None,
            journal: None,
            snapshot: None,
            starts: Vec::new(),
            signals: Vec::new(),
            events: Vec::new(),
            taken: Vec::new(),
            cancels: Vec::new(),
            observed: Vec::new(),
            input: None,
            customer: None,
            now,
        }
    }
}

/// The effects of a commit on objects other than its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitEffects {
    /// Deployments with new runs to claim; sorted and unique.
    pub ready: Vec<DeploymentName>,
    /// The earliest time at which a run that this commit delayed becomes due.
    pub delayed: Option<Timestamp>,
    /// Running runs that must be notified of their cancellation, or ended if `cancel.terminate`.
    /// Includes the committed run if its owner does not know of the request.
    pub cancelling: Vec<RunId>,
    /// Other runs that ended or were parked.
    pub settled: Vec<Run>,
    /// Signals that could not be delivered.
    pub undelivered: Vec<UndeliveredSignal>,
    /// Topics with new events, each once.
    pub published: Vec<Topic>,
    /// Schedules that consecutive failures paused, each with the note of its pause.
    pub paused: Vec<(DeploymentName, ScheduleName, String)>,
}

impl CommitEffects {
    /// Adds the effects of another commit.
    pub fn add(&mut self, other: Self) {
        self.ready.extend(other.ready);
        self.ready.sort_unstable();
        self.ready.dedup();
        self.delayed = [self.delayed, other.delayed].into_iter().flatten().min();
        self.cancelling.extend(other.cancelling);
        self.settled.extend(other.settled);
        self.undelivered.extend(other.undelivered);
        self.published.extend(other.published);
        self.paused.extend(other.paused);
    }
}

/// The result of a commit that did not return an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommitResult {
    /// The transaction took effect.
    Done(CommitEffects),
    /// A read has changed. Execute the transaction again.
    Conflict {
        /// Description of the changed read.
        what: String,
        /// Index of the read in [`RunCommit::reads`]. Equal to their number if the conflict is not
        /// a read, for example an external id that was posted or a deployment that was deleted.
        read: usize,
        /// The key, if it was a key of the deployment's state.
        key: Option<String>,
        /// What refuses the effect if the conflict is one of an effect. A transaction that was
        /// executed again and still has the effect will be refused each time.
        refusal: Option<Box<StoreError>>,
    },
    /// Another run with the same input has reserved the idempotency key.
    KeyTaken(Box<Run>),
}

/// The stored journal of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredJournal {
    /// The journal's chunks, in order.
    pub chunks: Vec<Bytes>,
    /// The replay snapshot, if there is one.
    pub snapshot: Option<Bytes>,
}
