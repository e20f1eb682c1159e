//! Requests, claims, retries and lists of runs. The commit of a transaction is in `commit`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::flow::{KEY_MILLIS, Rate};
use tidemill_core::lane::Lane;
use tidemill_core::run::{Export, Run, RunState, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Fuel, Revision, RunId, Timestamp};

use super::BudgetWait;

/// A request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The id of the run, created by the caller.
    pub id: RunId,
    /// The deployment.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component of that revision.
    pub component: ComponentDigest,
    /// The export to execute.
    pub export: Export,
    /// What started the run.
    pub trigger: Trigger,
    /// The JSON text of the input.
    pub input: Bytes,
    /// The caller's idempotency key.
    pub key: Option<String>,
    /// Labels (name and value) to filter by.
    pub labels: Vec<(String, String)>,
    /// The priority, from 1 (lowest) to 9 (highest).
    pub priority: u8,
    /// The time of the request.
    pub now: Timestamp,
    /// The earliest time of its admission.
    pub not_before: Timestamp,
    /// Thirty-two new random bytes.
    pub seed: Seed,
    /// Whether the run continues after its parent (`trigger.parent`) ends. Otherwise it is
    /// cancelled with its parent.
    pub detached: bool,
    /// The lanes that the run enters, each named once, at most
    /// [`tidemill_core::lane::LANES_OF_RUN`].
    pub lanes: Vec<Lane>,
    /// The admission terms of its deployment.
    pub terms: AdmissionTerms,
}

/// The terms under which a deployment admits a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionTerms {
    /// How long the idempotency key stays reserved after the end of the run, in milliseconds.
    pub key_millis: u64,
    /// Maximum number of queued runs. A request beyond it is refused.
    pub queue_max: u64,
    /// How the request can join another one; `None` if the deployment does not debounce.
    pub debounce: Option<DebounceTerms>,
    /// The customer of the input, empty if it names none; `None` if the deployment has no budget of
    /// fuel.
    pub customer: Option<String>,
    /// What the run holds of budgets of fuel that refuse requests without room; `None` if the run
    /// waits in any case.
    pub fuel: Option<u64>,
}

/// How requests with the same key are debounced into one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebounceTerms {
    /// The debounce key. Requests of the deployment with the same key join.
    pub key: String,
    /// Delay between the newest request and the start of the run, in milliseconds.
    pub wait_millis: u64,
    /// Maximum delay between the first request and the start of the run, in milliseconds.
    pub max_wait_millis: u64,
}

impl Default for AdmissionTerms {
    fn default() -> Self {
        Self { key_millis: KEY_MILLIS, queue_max: u64::MAX, debounce: None, customer: None, fuel: None }
    }
}

impl NewRun {
    /// Creates the record of the queued run.
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

/// The current view of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneView {
    /// Maximum number of runs at a time, as the latest request declared it; 0 if the lane is
    /// unused.
    pub capacity: u32,
    /// The number of runs in the lane.
    pub held: u32,
    /// The number of runs that wait for the lane.
    pub waiting: u32,
    /// The first runs in the lane, by their ids.
    pub in_it: Vec<RunId>,
    /// The first waiting runs, in the order in which they enter.
    pub next: Vec<RunId>,
}

/// The result of a request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRequestResult {
    /// The run is new.
    Created(Run),
    /// The idempotency key belongs to this run, which has the same input.
    Existing(Run),
    /// The request joined this debounced run, which has the new input now.
    Joined(Run),
}

/// What limits the admission of runs besides their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// The rate of the deployment.
    pub rate: Option<Rate>,
    /// What a run must hold of each budget of fuel before it begins; `None` if the deployment has
    /// none.
    pub fuel: Option<u64>,
    /// Maximum number of runs that are not privileged; `None` means no maximum. A run is privileged
    /// if it resumes after a wait, or if its cancellation was requested.
    pub unprivileged: Option<usize>,
}

impl From<Option<Rate>> for AdmissionLimits {
    fn from(rate: Option<Rate>) -> Self {
        Self { rate, ..Self::default() }
    }
}

/// The result of an admission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdmissionResult {
    /// The claimed runs, in the order in which they start.
    pub claimed: Vec<ClaimedRun>,
    /// When the next run may start, if only the rate or a budget delays some.
    pub next: Option<Timestamp>,
}

/// The queue position of a run, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// The run.
    pub run: Run,
    /// The list that the run is on.
    pub listed: QueueKind,
    /// Each of its lanes, whether the run is in it, and the current view of the lane.
    pub lanes: Vec<(Lane, bool, LaneView)>,
    /// Whether newer requests can join it while it is queued; see [`DebounceTerms`].
    pub accepts_requests: bool,
    /// If it waits for its turn: the first started runs of its schedule.
    pub turn_after: Vec<RunId>,
    /// The number of queued runs of its deployment.
    pub queued: u64,
    /// The number of recorded starts that the deployment's rate may count, and the time of the
    /// oldest.
    pub starts: (u32, Option<Timestamp>),
    /// The budget for which it waits.
    pub budget: Option<BudgetWait>,
}

/// The list that a run is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// No list: the run is running, parked or ended, or waits for a condition without a deadline.
    Nowhere,
    /// The delayed runs; it becomes due at this time.
    Delayed(Timestamp),
    /// The runs that wait for a lane: the index of the lane in the run's lanes, and how many runs
    /// enter before it, counted up to a maximum.
    Lane(usize, usize),
    /// The runs that wait for their turn in their schedule: how many come before it, counted up to
    /// a maximum.
    Turn(usize),
    /// The runs that can be claimed: how many come before it, counted up to a maximum.
    Ready(usize),
}

/// A run that a node has claimed, with what it needs to execute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The run in state running. If it was suspended, `waiting_for` is what it waited for, which
    /// its stored record no longer contains.
    pub run: Run,
    /// The JSON text of its input.
    pub input: Bytes,
}

/// Selects the runs of dead epochs to recover, by the number of takeovers that each would then
/// have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryFilter {
    /// All runs.
    All,
    /// Runs with another number. The others do not change, and their takeovers are not counted.
    Except(u32),
    /// Runs with this number.
    Only(u32),
}

impl RecoveryFilter {
    /// Returns whether a run that would have `takeovers` takeovers is selected.
    #[must_use]
    pub const fn fits(self, takeovers: u32) -> bool {
        match self {
            Self::All => true,
            Self::Except(number) => takeovers != number,
            Self::Only(number) => takeovers == number,
        }
    }
}

/// How a parked or failed run is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryChange {
    /// The revision and component to use; `None` keeps the run's own.
    pub component: Option<(Revision, ComponentDigest)>,
    /// Whether to start with an empty journal instead of resuming where the run stopped.
    pub from_start: bool,
    /// The time of the retry.
    pub now: Timestamp,
}

/// The severity of a log line; the levels of the WIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every detail.
    Trace,
    /// Information for debugging.
    Debug,
    /// Normal events.
    Info,
    /// An event that deserves attention.
    Warn,
    /// A failure.
    Error,
}

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its position in the run's log, from 0.
    pub seq: u64,
    /// When it was written, by the run's clock.
    pub at: Timestamp,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// The severity.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Fields (name and value).
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// Returns the size of text and fields, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.message.len() + self.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// A page of a run's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// The position where the next page starts; `None` if no more lines are stored.
    pub next: Option<u64>,
}

/// The numbers of runs in the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Runs that have not ended.
    pub unended: u64,
    /// Runs in state running, under any epoch.
    pub running: u64,
    /// Runs that wait for a person: parked ones, and cancelled ones that could not undo their work.
    pub parked: u64,
}

/// Selects the runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFilter {
    /// Only runs of this deployment.
    pub deployment: Option<DeploymentName>,
    /// Only runs in one of these states, by name; empty means any.
    pub states: Vec<String>,
    /// Only runs with all these labels.
    pub labels: Vec<(String, String)>,
    /// Only runs created at or after this time.
    pub since: Option<Timestamp>,
    /// Only runs created before this time.
    pub until: Option<Timestamp>,
    /// Only runs with one of these failure codes: failed, parked, or cancelled without being able
    /// to undo their work; empty means any.
    pub codes: Vec<String>,
}
