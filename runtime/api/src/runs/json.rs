//! A run and its log lines as they are sent. Borrowed from the record: nothing is copied to be written.

use serde::Serialize;
use serde_json::value::RawValue;
use tidemill_core::run::{Progress, Run, RunState, Trigger};
use tidemill_core::{Code, ComponentDigest, Failure, RunId};
use tidemill_store::records::{LogLevel, LogLine};
use utoipa::ToSchema;

use crate::wire::{Time, as_object, raw, raw_bytes};

/// One execution of one export. What does not apply is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunJson<'a> {
    /// Its name for ever; sorts by the time at which it was made.
    #[schema(value_type = String, example = "01kafe5tq0s8v3b9c2d4e6f7g8")]
    id: RunId,
    /// What it belongs to.
    deployment: &'a str,
    /// The revision that it runs in.
    revision: u64,
    /// `workflow`, `revenue-stream`, `webhook` or `health`.
    export: &'static str,
    /// The component that it runs.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// `queued`, `running`, `suspended`, `succeeded`, `failed`, `cancelled` or `parked`.
    state: &'static str,
    /// What started it.
    trigger: TriggerJson<'a>,
    /// The caller's idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// Names and values to find it by.
    #[serde(serialize_with = "as_object", skip_serializing_if = "is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>, required = false)]
    labels: &'a [(String, String)],
    /// 1 (last) to 9 (first).
    priority: u8,
    /// Counts from 1 each time that it is tried again.
    attempt: u32,
    /// Counts from 1 each time that it continues as new.
    generation: u32,
    /// Its input; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<&'a RawValue>,
    /// Its output, once it succeeded; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<&'a RawValue>,
    /// Why it failed or was parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
    /// How far it has come, in units of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson<'a>>,
    /// What the guest last said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    status: Option<&'a RawValue>,
    /// When it was asked for.
    created_at: Time,
    /// While it is queued: not to be taken up earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Time>,
    /// When it was first taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Time>,
    /// Work done, failed attempts included.
    fuel: u64,
    /// The most memory that an attempt held, in bytes.
    peak_memory: u64,
}

fn is_empty(labels: &&[(String, String)]) -> bool {
    labels.is_empty()
}

/// What started a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trigger)]
pub struct TriggerJson<'a> {
    /// `manual`, `schedule`, `webhook`, `event`, `parent` or `health-check`.
    kind: &'static str,
    /// The name of the schedule, the hook or the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The id of the delivery or the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// The nominal time of a firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Time>,
    /// The run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    parent: Option<RunId>,
    /// Anything more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<&'a RawValue>,
}

/// Why a run did not succeed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureJson<'a> {
    /// Stable; the host's own begin with `host/`.
    code: &'a str,
    /// One sentence for a person.
    message: &'a str,
    /// Whether the same work may succeed if it is tried again.
    retryable: bool,
    /// Anything more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<&'a RawValue>,
    /// What to do next, where the code is the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

/// How far a run has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressJson<'a> {
    /// Units done.
    done: u64,
    /// Of how many, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// A sentence for a person.
    note: &'a str,
}

impl<'a> RunJson<'a> {
    /// The record without input and output, as lists have it.
    #[must_use]
    pub fn brief(run: &'a Run) -> Self {
        Self::with(run, None, None)
    }

    /// The record with the JSON texts of its input and output.
    #[must_use]
    pub fn with(run: &'a Run, input: Option<&'a [u8]>, output: Option<&'a [u8]>) -> Self {
        Self {
            id: run.id,
            deployment: run.deployment.as_str(),
            revision: run.revision.get(),
            export: run.export.as_str(),
            component: run.component,
            state: run.state.name(),
            trigger: TriggerJson::of(&run.trigger),
            key: run.key.as_deref(),
            labels: &run.labels,
            priority: run.priority,
            attempt: run.attempt,
            generation: run.generation,
            input: input.and_then(raw_bytes),
            output: output.and_then(raw_bytes),
            failure: run.state.failure().map(FailureJson::of),
            progress: run.progress.as_ref().map(ProgressJson::of),
            status: run.status.as_deref().and_then(raw),
            created_at: run.created_at.into(),
            not_before: match run.state {
                RunState::Queued { not_before } if not_before > run.created_at => Some(not_before.into()),
                _ => None,
            },
            started_at: run.started_at.map(Time),
            ended_at: run.ended_at.map(Time),
            fuel: run.fuel.get(),
            peak_memory: run.peak_memory,
        }
    }
}

impl<'a> TriggerJson<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        Self {
            kind: trigger.kind.as_str(),
            name: trigger.name.as_deref(),
            id: trigger.id.as_deref(),
            at: trigger.at.map(Time),
            parent: trigger.parent,
            details: trigger.details.as_deref().and_then(raw),
        }
    }
}

impl<'a> FailureJson<'a> {
    fn of(failure: &'a Failure) -> Self {
        Self {
            code: &failure.code,
            message: &failure.message,
            retryable: failure.retryable,
            details: failure.details.as_deref().and_then(raw),
            fix: Code::parse(&failure.code).map(Code::fix),
        }
    }
}

impl<'a> ProgressJson<'a> {
    fn of(progress: &'a Progress) -> Self {
        Self { done: progress.done, total: progress.total, note: &progress.note }
    }
}

/// One line of a run's log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub struct LogLineJson<'a> {
    /// Its place in the run's log, from 0.
    seq: u64,
    /// When it was written, by the run's clock.
    at: Time,
    /// Which attempt wrote it.
    attempt: u32,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[schema(value_type = String)]
    level: LogLevel,
    /// The text.
    message: &'a str,
    /// Names and values.
    #[serde(serialize_with = "as_object", skip_serializing_if = "is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>, required = false)]
    fields: &'a [(String, String)],
}

impl<'a> LogLineJson<'a> {
    /// The line as it is sent.
    #[must_use]
    pub fn of(line: &'a LogLine) -> Self {
        Self {
            seq: line.seq,
            at: line.at.into(),
            attempt: line.attempt,
            level: line.level,
            message: &line.message,
            fields: &line.fields,
        }
    }
}
