//! The wire form of a run and its log lines. It borrows from the record, so that nothing is copied.

use tidemill_api_types as shapes;
use tidemill_core::run::{CancelRequest, Progress, Run, RunState, Trigger, Wait, WaitCondition};
use tidemill_core::{Code, Failure};
use tidemill_store::records::{FailedPart, LogLevel, LogLine, NumberedFailure};

use crate::wire::FromRecord;

/// Maximum number of items in the description of a wait.
const LISTED: usize = 100;

fn stored(text: &str) -> shapes::StoredJson<'_> {
    shapes::StoredJson::of(text.as_bytes())
}

/// The record without its input and output.
impl<'a> FromRecord<&'a Run> for shapes::Run<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            id: run.id,
            deployment: run.deployment.as_str().into(),
            revision: run.revision.get(),
            export: run.export.as_str().into(),
            component: run.component,
            state: run.state.name().into(),
            trigger: shapes::Trigger::of(&run.trigger),
            key: run.key.as_deref().map(Into::into),
            labels: (&run.labels).into(),
            priority: run.priority,
            attempt: run.attempt,
            generation: run.generation,
            input: None,
            output: None,
            failure: run.state.failure().map(shapes::Failure::of),
            failures: Vec::new(),
            progress: run.progress.as_ref().map(shapes::Progress::of),
            status: run.status.as_deref().map(stored),
            waiting_for: run.waiting_for.as_ref().map(shapes::Wait::of),
            journal_entries: Some(run.journal_entries).filter(|entries| *entries > 0),
            cancel: run.cancel.map(shapes::CancelRequest::of),
            detached: run.detached,
            created_at: run.created_at.into(),
            not_before: match run.state {
                RunState::Queued { not_before } if not_before > run.created_at => Some(not_before.into()),
                _ => None,
            },
            started_at: run.started_at.map(shapes::Time),
            ended_at: run.ended_at.map(shapes::Time),
            fuel: run.fuel.get(),
            peak_memory: run.peak_memory,
        }
    }
}

/// The record with the failure that the store keeps for a cancelled run.
impl<'a> FromRecord<(&'a Run, Option<&'a Failure>)> for shapes::Run<'a> {
    fn of((run, failure): (&'a Run, Option<&'a Failure>)) -> Self {
        let shape = Self::of(run);
        Self { failure: shape.failure.or(failure.map(shapes::Failure::of)), ..shape }
    }
}

impl<'a> FromRecord<&'a NumberedFailure> for shapes::FailureEntry<'a> {
    fn of(numbered: &'a NumberedFailure) -> Self {
        let record = &numbered.record;
        let (of, step, step_attempt) = match &record.part {
            FailedPart::Step { path, attempt } => ("step", Some(path.as_str()), Some(*attempt)),
            FailedPart::Attempt => ("attempt", None, None),
            FailedPart::Cancellation => ("cancellation", None, None),
        };
        let failure = shapes::Failure::of(&record.failure);
        let (number, at, attempt) = (numbered.number, record.at.into(), record.attempt);
        Self { number, at, attempt, of: of.into(), step: step.map(Into::into), step_attempt, failure }
    }
}

impl<'a> FromRecord<&'a Wait> for shapes::Wait<'a> {
    fn of(wait: &'a Wait) -> Self {
        let things = wait.any_of.iter().take(LISTED).map(|thing| match thing {
            WaitCondition::Signal(name) => shapes::WaitFor::Signal(name.into()),
            WaitCondition::Run(id) => shapes::WaitFor::Run(*id),
        });
        let things: Vec<_> = things.collect();
        let (any_of, all_of) = if wait.all { (Vec::new(), things) } else { (things, Vec::new()) };
        let more = wait.any_of.len().checked_sub(LISTED).filter(|more| *more > 0).map(|more| more as u64);
        Self { any_of, all_of, more, until: wait.until.map(shapes::Time) }
    }
}

impl FromRecord<CancelRequest> for shapes::CancelRequest {
    fn of(asked: CancelRequest) -> Self {
        Self { asked_at: asked.at.into(), terminate: asked.terminate, notified: asked.notified }
    }
}

impl<'a> FromRecord<&'a Trigger> for shapes::Trigger<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        Self {
            kind: trigger.kind.as_str().into(),
            name: trigger.name.as_deref().map(Into::into),
            id: trigger.id.as_deref().map(Into::into),
            at: trigger.at.map(shapes::Time),
            parent: trigger.parent,
            details: trigger.details.as_deref().map(stored),
        }
    }
}

impl<'a> FromRecord<&'a Failure> for shapes::Failure<'a> {
    fn of(failure: &'a Failure) -> Self {
        Self {
            code: (&failure.code).into(),
            message: (&failure.message).into(),
            retryable: failure.retryable,
            details: failure.details.as_deref().map(stored),
            fix: Code::parse(&failure.code).map(|code| code.fix().into()),
        }
    }
}

impl<'a> FromRecord<&'a Progress> for shapes::Progress<'a> {
    fn of(progress: &'a Progress) -> Self {
        Self { done: progress.done, total: progress.total, note: (&progress.note).into() }
    }
}

impl<'a> FromRecord<&'a LogLine> for shapes::LogLine<'a> {
    fn of(line: &'a LogLine) -> Self {
        Self {
            seq: line.seq,
            at: line.at.into(),
            attempt: line.attempt,
            level: match line.level {
                LogLevel::Trace => "trace",
                LogLevel::Debug => "debug",
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
                LogLevel::Error => "error",
            }
            .into(),
            message: (&line.message).into(),
            fields: (&line.fields).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::{RunId, Timestamp};

    use super::*;

    fn written(wait: &Wait) -> serde_json::Value {
        serde_json::to_value(shapes::Wait::of(wait)).unwrap()
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
