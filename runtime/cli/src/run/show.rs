//! `tidemill runs show ID`: shows one run: its input and output, what it waits for, its failures,
//! its child runs, and the newest entries of its journal.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tidemill_api_types::{JournalEntry, Run, RunStack, StackFrame, StoredJson};
use tidemill_core::wire::grouped;

use super::journal;
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::query::Query;
use crate::text::{bytes, failure_line, time, trigger, wait, why};

/// Maximum number of children and of journal entries shown.
const CHILDREN: usize = 10;
const ENTRIES: usize = 5;

/// Arguments of `tidemill runs show`.
#[derive(Debug, clap::Args)]
pub struct RunShowArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN")]
    id: String,
}

/// A run with related records.
#[derive(Debug, Serialize)]
struct RunDetails {
    #[serde(flatten)]
    run: Record<Run<'static>>,
    /// The stack of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<Record<RunStack<'static>>>,
    /// The first child runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Record<Run<'static>>>,
    /// The newest entries of its journal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    journal: Vec<Record<JournalEntry<'static>>>,
}

/// Runs the command.
pub async fn run(args: &RunShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.id, client).await?;
    let run: Record<Run<'static>> = client.get(&format!("/v1/runs/{}", encoded(&id))).await?;
    let children = client.list(&Query::of("parent", &id).of_path("/v1/runs"), CHILDREN + 1).await?;
    let journal = match run.journal_entries.unwrap_or_default() {
        0 => Vec::new(),
        entries => journal::read(client, &id, entries.saturating_sub(ENTRIES as u64), ENTRIES).await?,
    };
    // Show the run even if the host cannot return these records.
    let stack = match has_stack(&run) {
        true => client.get(&format!("/v1/runs/{}/stack", encoded(&id))).await.ok(),
        false => None,
    };
    let mut info = RunDetails { run, stack, children, journal };
    let text = info.text();
    info.children.truncate(CHILDREN);
    printer.record(&info, &text);
    Ok(())
}

impl RunDetails {
    fn text(&self) -> String {
        let mut lines = vec![text(&self.run)];
        if let Some(stack) = &self.stack {
            lines.extend(stack_lines(stack));
        }
        if !self.children.is_empty() {
            lines.push("children".to_owned());
            for child in self.children.iter().take(CHILDREN) {
                lines.push(
                    format!("  {}  {}  {}  {}", child.id, child.deployment, child.state, why(child))
                        .trim_end()
                        .to_owned(),
                );
            }
            if self.children.len() > CHILDREN {
                lines.push(format!("  and more: tidemill runs list --parent {}", self.run.id));
            }
        }
        if !self.journal.is_empty() {
            let entries = grouped(self.run.journal_entries.unwrap_or_default());
            lines.push(format!("journal     {entries} entries; the last:"));
            lines.extend(self.journal.iter().map(|entry| clean(&journal::line(entry))));
        }
        lines.join("\n")
    }
}

/// Returns whether the failure's details, or those of its last attempt, are a stack.
fn has_stack(run: &Run<'_>) -> bool {
    let details = run.failure.as_ref().and_then(|failure| failure.details.as_ref()).map(StoredJson::to_value);
    let last = details.as_ref().and_then(|details| serde_json::from_str::<Value>(details["details"].as_str()?).ok());
    details.is_some_and(|details| details["stack"].is_array()) || last.is_some_and(|last| last["stack"].is_array())
}

fn stack_lines(stack: &RunStack<'_>) -> Vec<String> {
    let place = |frame: &StackFrame<'_>| match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        (Some(file), None) => format!(" at {file}"),
        _ => String::new(),
    };
    let frames = stack.frames.iter().map(|frame| clean(&format!("{}{}", frame.function, place(frame))));
    let each = frames.chain(stack.note.as_deref().map(clean)).enumerate();
    each.map(|(at, line)| format!("{:11} {line}", if at == 0 { "stack" } else { "" })).collect()
}

fn text(run: &Run<'_>) -> String {
    let mut lines = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{name:11} {value}"));
        }
    };
    let json = |value: &StoredJson<'_>| serde_json::to_string(value).unwrap_or_default();
    say("run", Some(run.id.to_string()));
    say("deployment", Some(run.deployment.to_string()));
    say("export", Some(run.export.to_string()));
    let cancel = if run.is_cancel_requested() { ", asked to end" } else { "" };
    say("state", Some(format!("{}{cancel}", run.state)));
    say("waits for", run.waiting_for.as_ref().map(wait));
    say("trigger", Some(trigger(&run.trigger)));
    say("attempt", Some(run.attempt.to_string()));
    say("generation", (run.generation != 1).then(|| run.generation.to_string()));
    say("parent", run.trigger.parent.map(|parent| parent.to_string()));
    say("created", Some(run.created_at.to_string()));
    say("started", Some(time(run.started_at)));
    say("ended", Some(time(run.ended_at)));
    say("took", run.took_millis().map(|millis| format!("{millis} ms")));
    say("fuel", Some(grouped(run.fuel)));
    say("memory", Some(bytes(run.peak_memory)));
    say("revision", Some(run.revision.to_string()));
    say("component", Some(run.component.to_string()));
    say("key", run.key.as_deref().map(clean));
    let labels: BTreeMap<_, _> = run.labels.iter().map(|(name, value)| (name, value)).collect();
    say("labels", (!labels.is_empty()).then(|| serde_json::to_string(&labels).unwrap_or_default()));
    say("progress", run.progress.as_ref().map(|progress| serde_json::to_string(progress).unwrap_or_default()));
    for (name, value) in [("status", &run.status), ("input", &run.input)] {
        say(name, value.as_ref().map(|value| value.to_value().as_str().map_or_else(|| json(value), clean)));
    }
    say("output", run.output.as_ref().map(json));
    if let Some(failure) = &run.failure {
        say("failure", Some(format!("{}: {}", clean(&failure.code), clean(&failure.message))));
        // A stack has lines of its own in the output for people.
        say("details", failure.details.as_ref().filter(|_| !has_stack(run)).map(json));
        say("fix", failure.fix.as_deref().map(str::to_owned));
    }
    if !run.failures.is_empty() {
        lines.push("failures".to_owned());
        lines.extend(run.failures.iter().map(failure_line));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::test_run;

    #[test]
    fn failures_are_shown_in_order() {
        let entry = |number: u64, of: &str, step: Option<&str>| {
            json!({
                "number": number, "at": "2026-01-01T00:00:00Z", "attempt": 2, "of": of, "step": step,
                "step_attempt": step.map(|_| 3),
                "failure": { "code": "late", "message": "too\nlate", "retryable": false },
            })
        };
        let failures =
            json!([entry(1, "step", Some("charge")), entry(2, "attempt", None), entry(9, "cancellation", None)]);
        let text = text(&test_run(&json!({ "state": "cancelled", "failures": failures })));
        let shown: Vec<&str> = text.lines().skip_while(|line| *line != "failures").skip(1).collect();
        let expected = [
            "  1   2026-01-01T00:00:00.000Z  step charge attempt 3  late: too late",
            "  2   2026-01-01T00:00:00.000Z  attempt 2  late: too late",
            "  9   2026-01-01T00:00:00.000Z  cancellation  late: too late",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_stack_is_shown_a_frame_a_line() {
        let stack: RunStack<'_> = serde_json::from_value(json!({
            "component": format!("sha256:{}", "0".repeat(64)),
            "frames": [{ "function": "a::b", "file": "src/lib.rs", "line": 3 }, { "function": "function 7" }],
        }))
        .unwrap();
        assert_eq!(stack_lines(&stack), ["stack       a::b at src/lib.rs:3", "            function 7"]);
    }

    #[test]
    fn empty_fields_of_a_run_are_not_shown() {
        let text = text(&test_run(&json!({})));
        assert!(text.contains("state       queued"), "{text}");
        assert!(!text.contains("failure") && !text.contains("ended"), "{text}");
    }
}
