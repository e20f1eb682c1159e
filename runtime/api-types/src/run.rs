//! Runs, with what belongs to one: its log, its failures and what it waits for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::{ComponentDigest, RunId};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{StoredJson, Time};

/// One execution of one export. Fields that do not apply are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Run<'a> {
    /// The permanent id of the run; sorts by creation time.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "01kafe5tq0s8v3b9c2d4e6f7g8"))]
    pub id: RunId,
    /// The deployment of the run.
    pub deployment: Cow<'a, str>,
    /// The revision that the run executes.
    pub revision: u64,
    /// The export: `workflow`, `revenue-stream`, `webhook` or `health`.
    pub export: Cow<'a, str>,
    /// The component that the run executes.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub component: ComponentDigest,
    /// `queued`, `running`, `suspended`, `succeeded`, `failed`, `cancelled` or `parked`.
    pub state: Cow<'a, str>,
    /// The trigger that started the run.
    pub trigger: Trigger<'a>,
    /// The caller's idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Labels, to find the run by.
    #[serde(with = "crate::shared::pairs", default, skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::HashMap<String, String>, required = false))]
    pub labels: Cow<'a, [(String, String)]>,
    /// The priority, from 1 (last) to 9 (first).
    pub priority: u8,
    /// The number of the attempt; starts at 1 and rises with each retry.
    pub attempt: u32,
    /// The number of the generation; starts at 1 and rises each time that the run continues as new.
    pub generation: u32,
    /// The input; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub input: Option<StoredJson<'a>>,
    /// The output, after the run succeeded; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<StoredJson<'a>>,
    /// Why the run failed or was parked; for a cancelled run, why its compensation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure<'a>>,
    /// The failures so far, in order: of step attempts, of run attempts, and of the work after
    /// cancellation. Left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub failures: Vec<FailureEntry<'a>>,
    /// The run's progress, in units of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress<'a>>,
    /// The last status text of the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub status: Option<StoredJson<'a>>,
    /// What a suspended run waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Wait<'a>>,
    /// Number of entries in the run's journal, if it has one; the run resumes from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_entries: Option<u64>,
    /// Present after the run was asked to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequest>,
    /// True if the run continues after its parent ends; left out otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub detached: bool,
    /// When the run was requested.
    pub created_at: Time,
    /// For a queued run: the earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// When the run first started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Fuel used, failed attempts included.
    pub fuel: u64,
    /// Maximum memory used by an attempt, in bytes.
    pub peak_memory: u64,
}

impl Run<'_> {
    /// Returns whether the run has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(&*self.state, "succeeded" | "failed" | "cancelled")
    }

    /// Returns whether the run has ended or is parked.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_ended() || self.state == "parked"
    }

    /// Returns whether the run was asked to end and has not ended yet.
    #[must_use]
    pub fn is_cancel_requested(&self) -> bool {
        !self.is_settled() && self.cancel.is_some()
    }

    /// Returns the milliseconds from its first start to its end.
    #[must_use]
    pub fn took_millis(&self) -> Option<u64> {
        Some(self.ended_at?.0.millis_since(self.started_at?.0))
    }
}

/// The trigger of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Trigger<'a> {
    /// `manual`, `schedule`, `webhook`, `event`, `parent` or `health-check`.
    pub kind: Cow<'a, str>,
    /// The name of the schedule, the hook or the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The id of the delivery or the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The nominal time of a firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The parent run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub parent: Option<RunId>,
    /// Additional data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub details: Option<StoredJson<'a>>,
}

/// Why a run did not succeed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Failure<'a> {
    /// The stable code; codes of the host begin with `host/`.
    pub code: Cow<'a, str>,
    /// One sentence for people.
    pub message: Cow<'a, str>,
    /// Whether a retry of the same work may succeed.
    pub retryable: bool,
    /// Additional data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub details: Option<StoredJson<'a>>,
    /// What to do next, if the code is the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Cow<'a, str>>,
}

/// The progress of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Progress<'a> {
    /// Number of units done.
    pub done: u64,
    /// Total number of units, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// A sentence for a person.
    pub note: Cow<'a, str>,
}

/// What a suspended run waits for. A sleep has only `until`; without `until` the wait has no
/// deadline.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Wait<'a> {
    /// The run resumes with the first of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub any_of: Vec<WaitFor<'a>>,
    /// The run resumes after all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub all_of: Vec<WaitFor<'a>>,
    /// Number of further items that are not listed. At most 100 are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// The deadline: the run resumes then in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// An item that a run waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitFor<'a> {
    /// The next signal of that name.
    Signal(Cow<'a, str>),
    /// The end of this run.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    Run(RunId),
}

/// A request to end the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = CancelAsked))]
pub struct CancelRequest {
    /// When the request arrived.
    pub asked_at: Time,
    /// True to end at once; false for a grace period in which the run may compensate.
    pub terminate: bool,
    /// Whether the run was notified; that happens once, after its children have ended.
    pub notified: bool,
}

/// A failure of a run. The first 16 and the newest 16 are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FailureEntry<'a> {
    /// The sequence number, from 1. A gap shows that failures in between were dropped.
    pub number: u64,
    /// When it happened, by the run's clock.
    pub at: Time,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// What failed: `step`, `attempt` or `cancellation`.
    pub of: Cow<'a, str>,
    /// The path of the step that failed: names, outermost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Cow<'a, str>>,
    /// The step's attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_attempt: Option<u32>,
    /// The failure. The message is cut at 2 KiB, and details over 8 KiB are left out.
    pub failure: Failure<'a>,
}

/// One line of a run's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LogLine<'a> {
    /// The index of the line in the run's log, from 0.
    pub seq: u64,
    /// When it was written, by the run's clock.
    pub at: Time,
    /// The number of the attempt that wrote it.
    pub attempt: u32,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub level: Cow<'a, str>,
    /// The text of the line.
    pub message: Cow<'a, str>,
    /// Named values of the line.
    #[serde(with = "crate::shared::pairs", default, skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::HashMap<String, String>, required = false))]
    pub fields: Cow<'a, [(String, String)]>,
}

/// A signal that waits in a run's inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct InboxSignal<'a> {
    /// The permanent index of the signal in the inbox; a run's first signal has 0.
    pub place: u64,
    /// The name of the signal.
    pub name: Cow<'a, str>,
    /// When the signal arrived.
    pub at: Time,
    /// The payload of the signal.
    #[cfg_attr(feature = "schema", schema(value_type = serde_json::Value))]
    pub payload: StoredJson<'a>,
}

/// The result of sending a signal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = SignalSent))]
pub struct SignalResult<'a> {
    /// The run that receives the signal.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub run: RunId,
    /// The name of the signal.
    pub signal: Cow<'a, str>,
    /// True if the same `Idempotency-Key` sent this signal before; it is stored once.
    pub duplicate: bool,
}

/// One entry of a run's journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct JournalEntry<'a> {
    /// The sequence number, from 1. When a step ends or is retried, its entry replaces all entries
    /// that were recorded inside the step.
    pub seq: u64,
    /// The call, such as `http.fetch`; `step-begun`, `step-done` or `step-gave-up` for a step.
    pub kind: Cow<'a, str>,
    /// The path of the step that this entry is, or is inside of: `order/charge#2` is the second
    /// step `charge` in `order`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub step: Cow<'a, str>,
    /// For a step that was begun: the number of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// For a step that was begun: the earliest time at which the attempt may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// When the entry was recorded.
    pub at: Time,
    /// Fuel used by the run up to this entry.
    pub fuel: u64,
    /// Size of the result, in bytes.
    pub size: u64,
    /// The result, if it is JSON; results of steps are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<StoredJson<'a>>,
    /// The host's encoding of the result, in base64, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<String>,
    /// The request, cut at 1 KiB, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The hash of the whole request, in hexadecimal; replay compares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
}

/// The explanation of a run's state. Fields that do not apply are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Explanation<'a> {
    /// The run.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub run: RunId,
    /// The deployment of the run.
    pub deployment: Cow<'a, str>,
    /// The state of the run.
    pub state: Cow<'a, str>,
    /// Why the run is in this state, in one sentence.
    pub summary: Cow<'a, str>,
    /// What would make the run progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Cow<'a, str>>,
    /// The stages between the request and the start of the run, in order. Empty if the run has
    /// started or ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub stages: Vec<Stage<'a>>,
}

/// A stage between the request and the start of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Stage<'a> {
    /// `idempotency-key`, `debounce`, `queue`, `paused`, `schedule`, `time`, `key`, `priority`,
    /// `rate`, `concurrency` or `node`, in this order.
    pub stage: Cow<'a, str>,
    /// `passes`, `waits`, or `none` if the deployment or the run has no such stage.
    pub verdict: Cow<'a, str>,
    /// The reason for the verdict.
    pub detail: Cow<'a, str>,
    /// Number of places that are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Maximum number of places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The earliest time at which the run can pass this stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The first of the runs that hold the places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>, required = false))]
    pub runs: Vec<RunId>,
}

/// A failed run's stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RunStack<'a> {
    /// The component that failed.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub component: ComponentDigest,
    /// The frames, innermost first.
    pub frames: Vec<StackFrame<'a>>,
    /// Why there are no source lines, if the lookup failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Cow<'a, str>>,
}

/// A function on a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StackFrame<'a> {
    /// The name of the function, or its number in its module.
    pub function: Cow<'a, str>,
    /// The source file, if the component has debug information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Cow<'a, str>>,
    /// The line in the source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}
