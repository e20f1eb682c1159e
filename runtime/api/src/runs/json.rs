//! The wire form of a run and its log lines. It borrows from the record, so that nothing is copied.

use serde::Serialize;
use tidemill_core::run::{CancelRequest, Progress, Run, RunState, Trigger, Wait, WaitCondition};
use tidemill_core::{Code, ComponentDigest, Failure, RunId};
use tidemill_store::records::{FailedPart, LogLevel, LogLine, NumberedFailure};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, as_object, stored_json};

/// One execution of one export. Fields that do not apply are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunJson<'a> {
    /// The permanent id of the run; sorts by creation time.
    #[schema(value_type = String, example = "01kafe5tq0s8v3b9c2d4e6f7g8")]
    id: RunId,
    /// The deployment of the run.
    deployment: &'a str,
    /// The revision that the run executes.
    revision: u64,
    /// The export: `workflow`, `revenue-stream`, `webhook` or `health`.
    export: &'static str,
    /// The component that the run executes.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// `queued`, `running`, `suspended`, `succeeded`, `failed`, `cancelled` or `parked`.
    state: &'static str,
    /// The trigger that started the run.
    trigger: TriggerJson<'a>,
    /// The caller's idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// Labels, to find the run by.
    #[serde(serialize_with = "as_object", skip_serializing_if = "is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>, required = false)]
    labels: &'a [(String, String)],
    /// The priority, from 1 (last) to 9 (first).
    priority: u8,
    /// The number of the attempt; starts at 1 and rises with each retry.
    attempt: u32,
    /// The number of the generation; starts at 1 and rises each time that the run continues as new.
    generation: u32,
    /// The input; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<StoredJson<'a>>,
    /// The output, after the run succeeded; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<StoredJson<'a>>,
    /// Why the run failed or was parked; for a cancelled run, why its compensation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
    /// The failures so far, in order: of step attempts, of run attempts, and of the work after
    /// cancellation. Left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    failures: Vec<FailureEntryJson<'a>>,
    /// The run's progress, in units of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson<'a>>,
    /// The last status text of the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    status: Option<StoredJson<'a>>,
    /// What a suspended run waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitJson<'a>>,
    /// Number of entries in the run's journal, if it has one; the run resumes from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_entries: Option<u64>,
    /// Present after the run was asked to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<CancelJson>,
    /// True if the run continues after its parent ends; left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    detached: bool,
    /// When the run was requested.
    created_at: TimeJson,
    /// For a queued run: the earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<TimeJson>,
    /// When the run first started.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<TimeJson>,
    /// When the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<TimeJson>,
    /// Fuel used, failed attempts included.
    fuel: u64,
    /// Maximum memory used by an attempt, in bytes.
    peak_memory: u64,
}

fn is_empty(labels: &&[(String, String)]) -> bool {
    labels.is_empty()
}

/// The trigger of a run.
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
    at: Option<TimeJson>,
    /// The parent run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    parent: Option<RunId>,
    /// Additional data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<StoredJson<'a>>,
}

/// Why a run did not succeed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureJson<'a> {
    /// The stable code; codes of the host begin with `host/`.
    code: &'a str,
    /// One sentence for people.
    message: &'a str,
    /// Whether a retry of the same work may succeed.
    retryable: bool,
    /// Additional data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<StoredJson<'a>>,
    /// What to do next, if the code is the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

/// The progress of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressJson<'a> {
    /// Number of units done.
    done: u64,
    /// Total number of units, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// A sentence for a person.
    note: &'a str,
}

/// Maximum number of items in the description of a wait.
const LISTED: usize = 100;

/// What a suspended run waits for. A sleep has only `until`; without `until` the wait has no
/// deadline.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wait)]
pub struct WaitJson<'a> {
    /// The run resumes with the first of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    any_of: Vec<WaitForJson<'a>>,
    /// The run resumes after all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    all_of: Vec<WaitForJson<'a>>,
    /// Number of further items that are not listed. At most 100 are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<u64>,
    /// The deadline: the run resumes then in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<TimeJson>,
}

/// An item that a run waits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitFor)]
#[serde(rename_all = "snake_case")]
pub enum WaitForJson<'a> {
    /// The next signal of that name.
    Signal(&'a str),
    /// The end of this run.
    #[schema(value_type = String)]
    Run(RunId),
}

/// A request to end the run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CancelAsked)]
pub struct CancelJson {
    /// When the request arrived.
    asked_at: TimeJson,
    /// True to end at once; false for a grace period in which the run may compensate.
    terminate: bool,
    /// Whether the run was notified; that happens once, after its children have ended.
    notified: bool,
}

fn stored(text: &str) -> StoredJson<'_> {
    stored_json(text.as_bytes())
}

impl<'a> RunJson<'a> {
    /// Builds the wire form of a record without input and output, for lists.
    #[must_use]
    pub fn brief(run: &'a Run) -> Self {
        Self::with(run, None, None)
    }

    /// Builds the wire form of a record with the JSON texts of its input and output.
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
            input: input.map(stored_json),
            output: output.map(stored_json),
            failure: run.state.failure().map(FailureJson::of),
            failures: Vec::new(),
            progress: run.progress.as_ref().map(ProgressJson::of),
            status: run.status.as_deref().map(stored),
            waiting_for: run.waiting_for.as_ref().map(WaitJson::of),
            journal_entries: Some(run.journal_entries).filter(|entries| *entries > 0),
            cancel: run.cancel.map(CancelJson::of),
            detached: run.detached,
            created_at: run.created_at.into(),
            not_before: match run.state {
                RunState::Queued { not_before } if not_before > run.created_at => Some(not_before.into()),
                _ => None,
            },
            started_at: run.started_at.map(TimeJson),
            ended_at: run.ended_at.map(TimeJson),
            fuel: run.fuel.get(),
            peak_memory: run.peak_memory,
        }
    }
}

impl<'a> RunJson<'a> {
    /// Adds the failure that the store keeps for a cancelled run.
    #[must_use]
    pub fn failed(self, failure: Option<&'a Failure>) -> Self {
        let failure = failure.map(FailureJson::of);
        Self { failure: self.failure.or(failure), ..self }
    }

    /// Adds all failures that the store keeps for the run.
    #[must_use]
    pub fn with_failures(self, failures: &'a [NumberedFailure]) -> Self {
        Self { failures: failures.iter().map(FailureEntryJson::of).collect(), ..self }
    }
}

/// A failure of a run. The first 16 and the newest 16 are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailureEntry)]
pub struct FailureEntryJson<'a> {
    /// The sequence number, from 1. A gap shows that failures in between were dropped.
    number: u64,
    /// When it happened, by the run's clock.
    at: TimeJson,
    /// The run's attempt, from 1.
    attempt: u32,
    /// What failed: `step`, `attempt` or `cancellation`.
    of: &'static str,
    /// The path of the step that failed: names, outermost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    /// The step's attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_attempt: Option<u32>,
    /// The failure. The message is cut at 2 KiB, and details over 8 KiB are left out.
    failure: FailureJson<'a>,
}

impl<'a> FailureEntryJson<'a> {
    fn of(numbered: &'a NumberedFailure) -> Self {
        let record = &numbered.record;
        let (of, step, step_attempt) = match &record.part {
            FailedPart::Step { path, attempt } => ("step", Some(path.as_str()), Some(*attempt)),
            FailedPart::Attempt => ("attempt", None, None),
            FailedPart::Cancellation => ("cancellation", None, None),
        };
        let failure = FailureJson::of(&record.failure);
        let (number, at, attempt) = (numbered.number, record.at.into(), record.attempt);
        Self { number, at, attempt, of, step, step_attempt, failure }
    }
}

impl<'a> WaitJson<'a> {
    fn of(wait: &'a Wait) -> Self {
        let things = wait.any_of.iter().take(LISTED).map(|thing| match thing {
            WaitCondition::Signal(name) => WaitForJson::Signal(name),
            WaitCondition::Run(id) => WaitForJson::Run(*id),
        });
        let things: Vec<_> = things.collect();
        let (any_of, all_of) = if wait.all { (Vec::new(), things) } else { (things, Vec::new()) };
        let more = wait.any_of.len().checked_sub(LISTED).filter(|more| *more > 0).map(|more| more as u64);
        Self { any_of, all_of, more, until: wait.until.map(TimeJson) }
    }
}

impl CancelJson {
    fn of(asked: CancelRequest) -> Self {
        Self { asked_at: asked.at.into(), terminate: asked.terminate, notified: asked.notified }
    }
}

impl<'a> TriggerJson<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        Self {
            kind: trigger.kind.as_str(),
            name: trigger.name.as_deref(),
            id: trigger.id.as_deref(),
            at: trigger.at.map(TimeJson),
            parent: trigger.parent,
            details: trigger.details.as_deref().map(stored),
        }
    }
}

impl<'a> FailureJson<'a> {
    /// Builds the wire form of a failure.
    #[must_use]
    pub fn of(failure: &'a Failure) -> Self {
        Self {
            code: &failure.code,
            message: &failure.message,
            retryable: failure.retryable,
            details: failure.details.as_deref().map(stored),
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
    /// The index of the line in the run's log, from 0.
    seq: u64,
    /// When it was written, by the run's clock.
    at: TimeJson,
    /// The number of the attempt that wrote it.
    attempt: u32,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[schema(value_type = String)]
    level: LogLevel,
    /// The text of the line.
    message: &'a str,
    /// Named values of the line.
    #[serde(serialize_with = "as_object", skip_serializing_if = "is_empty")]
    #[schema(value_type = std::collections::HashMap<String, String>, required = false)]
    fields: &'a [(String, String)],
}

impl<'a> LogLineJson<'a> {
    /// Builds the wire form of a log line.
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::Timestamp;

    use super::*;

    fn written(wait: &Wait) -> serde_json::Value {
        serde_json::to_value(WaitJson::of(wait)).unwrap()
    }

    #[test]
    fn a_wait_lists_its_items() {
        let until = Some(Timestamp::from_millis(0));
        let id = "0".repeat(26).parse::<RunId>().unwrap();
        let things = vec![WaitCondition::Signal("paid".to_owned()), WaitCondition::Run(id)];
        assert_eq!(written(&Wait { until, ..Wait::default() }), json!({"until": "1970-01-01T00:00:00.000Z"}));
        let any = Wait { any_of: things.clone(), all: false, until: None };
        assert_eq!(written(&any), json!({"any_of": [{"signal": "paid"}, {"run": "0".repeat(26)}]}));
        let all = Wait { any_of: things[1..].to_vec(), all: true, until };
        assert_eq!(written(&all)["all_of"], json!([{"run": "0".repeat(26)}]));
        let many = written(&Wait { any_of: vec![things[1].clone(); 4_096], all: true, until: None });
        assert_eq!((many["all_of"].as_array().unwrap().len(), &many["more"]), (100, &json!(3_996)));
    }
}
