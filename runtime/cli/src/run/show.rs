//! `tidemill runs show ID`: shows one run: its input and output, what it waits for, its failures,
//! its child runs, and the newest entries of its journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::journal::{self, Entry};
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::wire::{FailureEntry, Run, Wait, bytes, grouped, trigger};

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
    run: Run,
    /// The stack of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<Stack>,
    /// The first child runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Run>,
    /// The newest entries of its journal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    journal: Vec<Entry>,
}

/// The stack of a failed run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stack {
    /// The frames, innermost first.
    frames: Vec<Frame>,
    /// Why there are no source lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A function on the stack.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Frame {
    function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

/// Runs the command.
pub async fn run(args: &RunShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.id, client).await?;
    let run: Run = client.get(&format!("/v1/runs/{}", encoded(&id))).await?;
    let children = client.list(&format!("/v1/runs?parent={}", encoded(&id)), CHILDREN + 1).await?;
    let journal = match run.journal_entries.unwrap_or_default() {
        0 => Vec::new(),
        entries => journal::read(client, &id, entries.saturating_sub(ENTRIES as u64), ENTRIES).await?,
    };
    // Show the run even if the host cannot return these records.
    let stack = match has_stack(&run) {
        true => client.get(&format!("/v1/runs/{}/stack", encoded(&args.id))).await.ok(),
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
            lines.extend(stack.lines());
        }
        if !self.children.is_empty() {
            lines.push("children".to_owned());
            for child in self.children.iter().take(CHILDREN) {
                lines.push(
                    format!("  {}  {}  {}  {}", child.id, child.deployment, child.state, child.why())
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
            lines.extend(self.journal.iter().map(|entry| clean(&entry.text())));
        }
        lines.join("\n")
    }
}

/// Returns whether the failure's details, or those of its last attempt, are a stack.
fn has_stack(run: &Run) -> bool {
    let details = run.failure.as_ref().and_then(|failure| failure.details.as_ref());
    let last = details.and_then(|details| serde_json::from_str::<Value>(details["details"].as_str()?).ok());
    details.is_some_and(|details| details["stack"].is_array()) || last.is_some_and(|last| last["stack"].is_array())
}

impl Stack {
    fn lines(&self) -> Vec<String> {
        let place = |frame: &Frame| match (&frame.file, frame.line) {
            (Some(file), Some(line)) => format!(" at {file}:{line}"),
            (Some(file), None) => format!(" at {file}"),
            _ => String::new(),
        };
        let frames = self.frames.iter().map(|frame| clean(&format!("{}{}", frame.function, place(frame))));
        let each = frames.chain(self.note.as_deref().map(clean)).enumerate();
        each.map(|(at, line)| format!("{:11} {line}", if at == 0 { "stack" } else { "" })).collect()
    }
}

fn text(run: &Run) -> String {
    let mut lines = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{name:11} {value}"));
        }
    };
    let json = |value: &Value| serde_json::to_string(value).unwrap_or_default();
    say("run", Some(run.id.clone()));
    say("deployment", Some(run.deployment.clone()));
    say("export", Some(run.export.clone()));
    let cancel = if run.is_asked_to_end() { ", asked to end" } else { "" };
    say("state", Some(format!("{}{cancel}", run.state)));
    say("waits for", run.waiting_for.as_ref().map(Wait::text));
    say("trigger", Some(trigger(&run.trigger)));
    say("attempt", Some(run.attempt.to_string()));
    say("generation", run.more.get("generation").filter(|generation| **generation != 1).map(json));
    say("parent", run.trigger["parent"].as_str().map(str::to_owned));
    say("created", Some(run.created_at.clone()));
    say("started", run.started_at.clone());
    say("ended", run.ended_at.clone());
    say("took", run.took_millis().map(|millis| format!("{millis} ms")));
    say("fuel", run.fuel.map(grouped));
    say("memory", run.peak_memory.map(bytes));
    for name in ["revision", "component", "key", "labels", "progress", "status", "input"] {
        say(name, run.more.get(name).map(|value| value.as_str().map_or_else(|| json(value), clean)));
    }
    say("output", run.output.as_ref().map(json));
    if let Some(failure) = &run.failure {
        say("failure", Some(format!("{}: {}", clean(&failure.code), clean(&failure.message))));
        // A stack has lines of its own in the output for people.
        say("details", failure.details.as_ref().filter(|_| !has_stack(run)).map(json));
        say("fix", failure.fix.clone());
    }
    if !run.failures.is_empty() {
        lines.push("failures".to_owned());
        lines.extend(run.failures.iter().map(FailureEntry::text));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Failure;

    #[test]
    fn failures_are_shown_in_order() {
        let failure = Failure { code: "late".into(), message: "too\nlate".into(), ..Failure::default() };
        let entry = |number, step: Option<&str>, of: &str| FailureEntry {
            number,
            at: "T".into(),
            attempt: 2,
            of: of.into(),
            step: step.map(str::to_owned),
            step_attempt: step.map(|_| 3),
            failure: failure.clone(),
        };
        let failures =
            vec![entry(1, Some("charge"), "step"), entry(2, None, "attempt"), entry(9, None, "cancellation")];
        let run = Run { id: "a".into(), state: "cancelled".into(), failures, ..Run::default() };
        let text = text(&run);
        let shown: Vec<&str> = text.lines().skip_while(|line| *line != "failures").skip(1).collect();
        let expected = [
            "  1   T  step charge attempt 3  late: too late",
            "  2   T  attempt 2  late: too late",
            "  9   T  cancellation  late: too late",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_stack_is_shown_a_frame_a_line() {
        let stack: Stack = serde_json::from_value(serde_json::json!({
            "component": "sha256:…",
            "frames": [{ "function": "a::b", "file": "src/lib.rs", "line": 3 }, { "function": "function 7" }],
        }))
        .unwrap();
        assert_eq!(stack.lines(), ["stack       a::b at src/lib.rs:3", "            function 7"]);
    }

    #[test]
    fn empty_fields_of_a_run_are_not_shown() {
        let run = Run { id: "a".into(), deployment: "d".into(), state: "queued".into(), ..Run::default() };
        let text = text(&run);
        assert!(text.contains("state       queued"), "{text}");
        assert!(!text.contains("failure") && !text.contains("ended"), "{text}");
    }
}
