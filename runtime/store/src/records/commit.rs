//! Committing a stretch: what it read, all that it leaves, and what the commit led to in other runs.

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, ScheduleName, Timestamp, Topic};

use super::{FailureRecord, LogLine, NewEvent, NewPosting, NewRun, NewSignal, ScanRequest, UndeliveredSignal, Version};

/// Something that a stretch read, and the commit must find unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadCheck {
    /// A key of the deployment's state.
    State {
        /// The key.
        key: String,
        /// What was seen.
        version: Version,
    },
    /// A scan of the deployment's state.
    Scan {
        /// What was asked.
        request: ScanRequest,
        /// The keys and versions that were seen, in order.
        seen: Vec<(String, Version)>,
        /// Whether there were more.
        more: bool,
    },
    /// An external id of the stream.
    ExternalId {
        /// The id.
        external_id: String,
        /// What was seen.
        version: Version,
    },
}

/// A change of one key of the deployment's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// The key.
    pub key: String,
    /// The new value; none deletes it.
    pub value: Option<Bytes>,
}

/// How a commit relates to what the store knows of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitStart {
    /// The run is not in the store yet: it ran first, and this is its first commit. Its idempotency key is reserved
    /// here; whoever loses is answered with the winner.
    Fresh {
        /// The JSON text of its input.
        input: Bytes,
    },
    /// The run is in the store, running, owned by the committer.
    Continues,
}

/// All that a stretch leaves, taking hold together or not at all. [`RunCommit::of`] makes one that leaves nothing but the
/// run's record, so that callers name only what they use.
#[derive(Debug, Clone)]
pub struct RunCommit {
    /// Who commits; a stale epoch is refused.
    pub owner: Owner,
    /// Whether the run is known already.
    pub begins: CommitStart,
    /// The run's record as it is to stand. What the store itself learned of it meanwhile (that its cancellation was asked for) is kept.
    pub run: Run,
    /// What was read.
    pub reads: Vec<ReadCheck>,
    /// What is written to the deployment's state; one change a key.
    pub writes: Vec<StateWrite>,
    /// What is posted to the ledger.
    pub postings: Vec<NewPosting>,
    /// Log lines that are not in the store yet.
    pub logs: Vec<LogLine>,
    /// Failures that are not in the store yet. One of [`FailedPart::Cancellation`](super::FailedPart) puts a run that ends as
    /// cancelled among those that wait for a person.
    pub failures: Vec<FailureRecord>,
    /// The JSON text of the output, where it succeeded.
    pub output: Option<Bytes>,
    /// Where the stream's watermark moves to, where a collection succeeded; it never moves back.
    pub watermark: Option<Timestamp>,
    /// What changed in the journal.
    pub journal: Option<JournalChange>,
    /// What an open stretch or step holds, opaque to the store; none removes what was there.
    pub head: Option<Bytes>,
    /// Runs that it starts; `trigger.parent` of each names this run. One that is there already is found again.
    pub starts: Vec<NewRun>,
    /// Signals that it sends.
    pub signals: Vec<NewSignal>,
    /// Events that it publishes, in order.
    pub events: Vec<NewEvent>,
    /// Signals that it took from its inbox, by their places.
    pub taken: Vec<u64>,
    /// Runs that it cancels.
    pub cancels: Vec<RunId>,
    /// Children whose outcome it has learned for good: a retry of this run leaves them alone.
    pub observed: Vec<RunId>,
    /// The run continues as new with this input, in place of its old one.
    pub input: Option<Bytes>,
    /// The time of the commit.
    pub now: Timestamp,
}

impl RunCommit {
    /// The commit of a run that the store knows, leaving nothing but its record.
    #[must_use]
    pub const fn of(owner: Owner, run: Run, now: Timestamp) -> Self {
        Self {
            owner,
            begins: CommitStart::Continues,
            run,
            reads: Vec::new(),
            writes: Vec::new(),
            postings: Vec::new(),
            logs: Vec::new(),
            failures: Vec::new(),
            output: None,
            watermark: None,
            journal: None,
            head: None,
            starts: Vec::new(),
            signals: Vec::new(),
            events: Vec::new(),
            taken: Vec::new(),
            cancels: Vec::new(),
            observed: Vec::new(),
            input: None,
            now,
        }
    }
}

/// What a commit led to beside the run that it was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitEffects {
    /// Deployments that got something to claim; sorted, each once.
    pub ready: Vec<DeploymentName>,
    /// The earliest time at which something that was delayed here becomes due.
    pub delayed: Option<Timestamp>,
    /// Running runs that are to be told of their cancellation, or ended where `cancel.terminate` says so; the run that was committed among
    /// them, where its owner does not know yet.
    pub cancelling: Vec<RunId>,
    /// Runs that ended or were parked, besides the one that was committed.
    pub settled: Vec<Run>,
    /// Signals that nobody will get.
    pub undelivered: Vec<UndeliveredSignal>,
    /// Topics to which something was published, each once.
    pub published: Vec<Topic>,
    /// Schedules that were paused because of failures in a row, each with the note of its pause.
    pub paused: Vec<(DeploymentName, ScheduleName, String)>,
}

impl CommitEffects {
    /// What several commits led to together.
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

/// What became of a commit that was not refused by an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommitResult {
    /// It took hold.
    Done(CommitEffects),
    /// Something that it read has changed: do the stretch again.
    Conflict {
        /// Which of its reads, in words.
        what: String,
        /// The read's place in [`RunCommit::reads`]; their number where it is something else, such as an external id that was
        /// posted or a deployment that is gone.
        read: usize,
        /// The key, if it was a key of the deployment's state.
        key: Option<String>,
    },
    /// The idempotency key was reserved by another run with the same input, meanwhile.
    KeyTaken(Box<Run>),
}

/// What the store has of a run's journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredJournal {
    /// The journal's chunks, in order.
    pub chunks: Vec<Bytes>,
    /// What an open stretch or step holds.
    pub head: Option<Bytes>,
}
