//! Requesting, claiming and ending runs: what a stretch reads, writes and leaves behind.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::run::{Export, Run, RunState, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Fuel, Revision, RunId, Timestamp};

use super::{NewPosting, ScanRequest, Version};

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id, made by the caller.
    pub id: RunId,
    /// What runs.
    pub deployment: DeploymentName,
    /// In which revision,
    pub revision: Revision,
    /// with which component.
    pub component: ComponentDigest,
    /// Which export.
    pub export: Export,
    /// What asked for it.
    pub trigger: Trigger,
    /// The JSON text of its input.
    pub input: Bytes,
    /// The caller's idempotency key.
    pub key: Option<String>,
    /// Names and values to find it by.
    pub labels: Vec<(String, String)>,
    /// 1 (last) to 9 (first).
    pub priority: u8,
    /// When it was asked for.
    pub now: Timestamp,
    /// Not to be admitted earlier than this.
    pub not_before: Timestamp,
    /// Thirty-two fresh random bytes.
    pub seed: Seed,
}

impl NewRun {
    /// The run's record as it is first queued.
    #[must_use]
    pub fn to_run(&self) -> Run {
        Run {
            id: self.id,
            deployment: self.deployment.clone(),
            revision: self.revision,
            component: self.component,
            export: self.export,
            state: RunState::Queued { not_before: self.not_before },
            trigger: self.trigger.clone(),
            key: self.key.clone(),
            labels: self.labels.clone(),
            priority: self.priority,
            attempt: 1,
            generation: 1,
            created_at: self.now,
            started_at: None,
            ended_at: None,
            fuel: Fuel::default(),
            peak_memory: 0,
            progress: None,
            status: None,
            takeovers: 0,
            seed: self.seed,
            waiting_for: None,
            journal_entries: 0,
            cancel: None,
            detached: false,
        }
    }
}

/// What a request for a run led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// It is new.
    Created(Run),
    /// The idempotency key had made it before, with the same input.
    Existing(Run),
}

/// A run that a node took up, with what it needs to execute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The run, in state running.
    pub run: Run,
    /// The JSON text of its input.
    pub input: Bytes,
}

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

/// How severe a log line is; the levels of the WIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For following every detail.
    Trace,
    /// For finding faults.
    Debug,
    /// For knowing what happens.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its place in the run's log, from 0.
    pub seq: u64,
    /// When it was written, by the run's clock.
    pub at: Timestamp,
    /// Which attempt wrote it.
    pub attempt: u32,
    /// How severe.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// How a commit relates to what the store knows of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begins {
    /// The run is not in the store yet: it ran first, and this is its first commit. Its idempotency key is reserved
    /// here; whoever loses is answered with the winner.
    Fresh {
        /// The JSON text of its input.
        input: Bytes,
    },
    /// The run is in the store, running, owned by the committer.
    Continues,
}

/// All that a stretch leaves, taking hold together or not at all.
#[derive(Debug, Clone)]
pub struct StretchCommit {
    /// Who commits; a stale epoch is refused.
    pub owner: tidemill_core::ids::Owner,
    /// Whether the run is known already.
    pub begins: Begins,
    /// The run's record as it is to stand.
    pub run: Run,
    /// What was read.
    pub reads: Vec<ReadCheck>,
    /// What is written to the deployment's state; one change a key.
    pub writes: Vec<StateWrite>,
    /// What is posted to the ledger.
    pub postings: Vec<NewPosting>,
    /// Log lines that are not in the store yet.
    pub logs: Vec<LogLine>,
    /// The JSON text of the output, where it succeeded.
    pub output: Option<Bytes>,
    /// Where the stream's watermark moves to, where a collection succeeded; it never moves back.
    pub watermark: Option<Timestamp>,
    /// The time of the commit.
    pub now: Timestamp,
}

/// What became of a commit that was not refused by an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It took hold.
    Done,
    /// Something that it read has changed: do the stretch again.
    Conflict {
        /// Which of its reads, in words.
        what: String,
    },
    /// The idempotency key was reserved by another run with the same input, meanwhile.
    KeyTaken(Box<Run>),
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this deployment.
    pub deployment: Option<DeploymentName>,
    /// In one of these states, by name; empty means any.
    pub states: Vec<String>,
    /// With all these labels.
    pub labels: Vec<(String, String)>,
    /// Made at or after.
    pub since: Option<Timestamp>,
    /// Made before.
    pub until: Option<Timestamp>,
}
