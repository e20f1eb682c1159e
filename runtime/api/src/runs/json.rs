//! A run and its log lines as they are sent. Borrowed from the record: nothing is copied to be written.

use serde::Serialize;
use tidemill_core::run::{CancelRequest, Progress, Run, RunState, Trigger, Wait, WaitCondition};
use tidemill_core::{Code, ComponentDigest, Failure, RunId};
use tidemill_store::records::{FailedPart, LogLevel, LogLine, NumberedFailure};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, as_object, stored_json};

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
    input: Option<StoredJson<'a>>,
    /// Its output, once it succeeded; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<StoredJson<'a>>,
    /// Why it failed or was parked; of a cancelled run, why it could not undo what it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
    /// What failed so far, in order: attempts of steps, of the run, and what it did when it was cancelled. Left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    failures: Vec<FailureEntryJson<'a>>,
    /// How far it has come, in units of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson<'a>>,
    /// What the guest last said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    status: Option<StoredJson<'a>>,
    /// While it is suspended: what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitJson<'a>>,
    /// How many entries its journal holds, where it has one: what it did so far, and goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_entries: Option<u64>,
    /// Once it was asked to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<CancelJson>,
    /// It goes on when its parent ends; left out where it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    detached: bool,
    /// When it was asked for.
    created_at: TimeJson,
    /// While it is queued: not to be taken up earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<TimeJson>,
    /// When it was first taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<TimeJson>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<TimeJson>,
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
    at: Option<TimeJson>,
    /// The run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    parent: Option<RunId>,
    /// Anything more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    details: Option<StoredJson<'a>>,
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
    details: Option<StoredJson<'a>>,
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

/// Maximum number of things that are listed of a wait.
const LISTED: usize = 100;

/// What a suspended run waits for. A sleep has `until` alone; without `until` the wait has no end of its own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wait)]
pub struct WaitJson<'a> {
    /// Whichever of these comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    any_of: Vec<WaitForJson<'a>>,
    /// Every one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    all_of: Vec<WaitForJson<'a>>,
    /// The number of further things that are not listed. Only the first 100 are.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<u64>,
    /// When it goes on whatever has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<TimeJson>,
}

/// One thing that a run waits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitFor)]
#[serde(rename_all = "snake_case")]
pub enum WaitForJson<'a> {
    /// The next signal of that name.
    Signal(&'a str),
    /// The end of that run.
    #[schema(value_type = String)]
    Run(RunId),
}

/// Somebody wants the run to end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CancelAsked)]
pub struct CancelJson {
    /// Since when.
    asked_at: TimeJson,
    /// At once, rather than after a grace period in which it may compensate.
    terminate: bool,
    /// Whether the run has been told; that happens once, when its children have ended.
    told: bool,
}

fn stored(text: &str) -> StoredJson<'_> {
    stored_json(text.as_bytes())
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
    /// The same with the failure that the store keeps beside the state of a cancelled run.
    #[must_use]
    pub fn failed(self, failure: Option<&'a Failure>) -> Self {
        let failure = failure.map(FailureJson::of);
        Self { failure: self.failure.or(failure), ..self }
    }

    /// The same with all failures that are kept of it.
    #[must_use]
    pub fn with_failures(self, failures: &'a [NumberedFailure]) -> Self {
        Self { failures: failures.iter().map(FailureEntryJson::of).collect(), ..self }
    }
}

/// One of the failures of a run. The first 16 and the newest 16 are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailureEntry)]
pub struct FailureEntryJson<'a> {
    /// Counts from 1. A gap shows that failures between the first and the newest were dropped.
    number: u64,
    /// When it happened, by the run's clock.
    at: TimeJson,
    /// The run's attempt; counts from 1.
    attempt: u32,
    /// What failed: `step`, `attempt` or `cancellation`.
    of: &'static str,
    /// The step that failed: names from the outside in.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    /// The step's attempt; counts from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_attempt: Option<u32>,
    /// Why. The message is cut at 2 KiB, and details over 8 KiB are left out.
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
        Self { asked_at: asked.at.into(), terminate: asked.terminate, told: asked.told }
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
    /// The failure as it is sent.
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
    /// Its place in the run's log, from 0.
    seq: u64,
    /// When it was written, by the run's clock.
    at: TimeJson,
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::Timestamp;

    use super::*;

    fn written(wait: &Wait) -> serde_json::Value {
        serde_json::to_value(WaitJson::of(wait)).unwrap()
    }

    #[test]
    fn a_wait_says_what_it_is_for() {
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
