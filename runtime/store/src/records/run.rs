//! Requesting, claiming, retrying and finding runs. What a stretch leaves is in `stretch`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::flow::KEY_MILLIS;
use tidemill_core::lane::Lane;
use tidemill_core::run::{Export, Run, RunState, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Fuel, Revision, RunId, Timestamp};

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
    /// Goes on when the run that started it (`trigger.parent`) ends; otherwise it is cancelled with it.
    pub detached: bool,
    /// The lanes that it is to go in, each named once, at most [`tidemill_core::lane::LANES_OF_RUN`].
    pub lanes: Vec<Lane>,
    /// What its deployment has to say to the request.
    pub terms: AdmissionTerms,
}

/// What a deployment has to say to a request for a run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionTerms {
    /// How long the idempotency key is kept beyond the end of the run, in milliseconds.
    pub key_millis: u64,
    /// A run that would be one more than so many that are queued is refused.
    pub queue_max: u64,
    /// The request may become one with others.
    pub debounce: Option<DebounceTerms>,
}

/// How a request becomes one with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebounceTerms {
    /// With those of the deployment that have the same text here.
    pub key: String,
    /// So long after the newest the run begins, in milliseconds,
    pub wait_millis: u64,
    /// and so long after the first at the latest.
    pub max_wait_millis: u64,
}

impl Default for AdmissionTerms {
    fn default() -> Self {
        Self { key_millis: KEY_MILLIS, queue_max: u64::MAX, debounce: None }
    }
}

impl NewRun {
    /// The run's record as it is first queued.
    #[must_use]
    pub fn to_run(&self) -> Run {
        let mut lanes = self.lanes.clone();
        lanes.sort_unstable();
        Run {
            id: self.id,
            deployment: self.deployment.clone(),
            revision: self.revision,
            component: self.component,
            export: self.export,
            state: RunState::Queued { not_before: self.not_before },
            trigger: self.trigger.clone(),
            key: self.key.clone(),
            key_millis: if self.key.is_some() { self.terms.key_millis } else { 0 },
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
            detached: self.detached,
            lanes,
        }
    }
}

/// A lane as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneView {
    /// Runs at a time, as whoever asked last said; 0 where nobody is in it.
    pub capacity: u32,
    /// How many are in it,
    pub held: u32,
    /// and how many wait for it.
    pub waiting: u32,
    /// The first of those that are in it, by their ids.
    pub in_it: Vec<RunId>,
    /// The first of those that wait, in the order in which they enter.
    pub next: Vec<RunId>,
}

/// What a request for a run led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRequestResult {
    /// It is new.
    Created(Run),
    /// The idempotency key had made it before, with the same input.
    Existing(Run),
    /// Another request had made it, which waits for newer ones: it has this one's input now.
    Joined(Run),
}

/// What was taken up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdmissionResult {
    /// The runs, in the order in which they are to begin.
    pub claimed: Vec<ClaimedRun>,
    /// When the next may begin, where the rate alone holds some back.
    pub next: Option<Timestamp>,
}

/// Where a run stands among others, all as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// The run.
    pub run: Run,
    /// What it is listed under.
    pub listed: QueueKind,
    /// Each of its lanes, whether it is in it, and the lane as it stands.
    pub lanes: Vec<(Lane, bool, LaneView)>,
    /// Whether it takes newer requests in while it is queued; see [`DebounceTerms`].
    pub gathers: bool,
    /// Where it waits its turn among the runs of its schedule, the first of those that were started.
    pub turn_after: Vec<RunId>,
    /// Runs of its deployment that are queued.
    pub queued: u64,
    /// Runs of its deployment that have begun in the time that its rate looks at, as far as they were counted, with the oldest.
    pub starts: (u32, Option<Timestamp>),
}

/// What a run is listed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// Nothing: it runs, it has ended, or it waits for what has no time.
    Nowhere,
    /// What comes due then.
    Delayed(Timestamp),
    /// Those who wait for the lane at this place of its lanes; so many enter before it, counted up to a bound.
    Lane(usize, usize),
    /// Those who wait their turn among the runs of their schedule; so many come before it, counted up to a bound.
    Turn(usize),
    /// Those who can be claimed; so many come before it, counted up to a bound.
    Ready(usize),
}

/// A run that a node took up, with what it needs to execute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The run, in state running. Of one that was suspended, `waiting_for` is what it waited for, which its record no longer says.
    pub run: Run,
    /// The JSON text of its input.
    pub input: Bytes,
}

/// Which runs of dead lives are taken over, by the number of takeovers that each would then have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryFilter {
    /// All of them.
    All,
    /// Those with another number. The others stay as they are, and no takeover of them is counted.
    Except(u32),
    /// Those with this number.
    Only(u32),
}

impl RecoveryFilter {
    /// Whether a run that would have so many takeovers is taken over.
    #[must_use]
    pub const fn fits(self, takeovers: u32) -> bool {
        match self {
            Self::All => true,
            Self::Except(number) => takeovers != number,
            Self::Only(number) => takeovers == number,
        }
    }
}

/// How a run that is parked or failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryChange {
    /// On this component, as of this revision; none where it stays on its own.
    pub component: Option<(Revision, ComponentDigest)>,
    /// With an empty journal, instead of from where it stopped.
    pub from_start: bool,
    /// The time of the retry.
    pub now: Timestamp,
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

impl LogLine {
    /// Its text and fields, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.message.len() + self.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// A part of a run's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// The place at which the next page begins; none if this is the last for now.
    pub next: Option<u64>,
}

/// How many runs there are of each kind, in the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Runs that have not ended.
    pub unended: u64,
    /// Runs that are recorded as running, under any epoch.
    pub running: u64,
    /// Runs that are parked.
    pub parked: u64,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Failed or parked with one of these codes, or cancelled with one beside it; empty means any, and none where none failed.
    pub codes: Vec<String>,
}
