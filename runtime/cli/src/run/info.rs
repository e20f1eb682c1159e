//! `tidemill run-info ID`: shows one run: its input and output, what it waits for, the runs that it started, and what it recorded
//! last.

use serde::Serialize;
use serde_json::Value;

use super::journal::{self, Entry};
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::wire::{Run, Wait, bytes, grouped, trigger};

/// The children and the entries of the journal that are shown.
const CHILDREN: usize = 10;
const ENTRIES: usize = 5;

/// Which run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN")]
    id: String,
}

/// A run and what belongs to it.
#[derive(Debug, Serialize)]
struct Info {
    #[serde(flatten)]
    run: Run,
    /// The first that it started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Run>,
    /// The last that it recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    journal: Vec<Entry>,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.id, client).await?;
    let run: Run = client.get(&format!("/v1/runs/{}", encoded(&id))).await?;
    let children = client.list(&format!("/v1/runs?parent={}", encoded(&id)), CHILDREN + 1).await?;
    let journal = match run.journal_entries.unwrap_or_default() {
        0 => Vec::new(),
        entries => journal::read(client, &id, entries.saturating_sub(ENTRIES as u64), ENTRIES).await?,
    };
    let mut info = Info { run, children, journal };
    let text = info.text();
    info.children.truncate(CHILDREN);
    printer.record(&info, &text);
    Ok(())
}

impl Info {
    fn text(&self) -> String {
        let mut lines = vec![text(&self.run)];
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
                lines.push(format!("  and more: tidemill runs --parent {}", self.run.id));
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
    let told = if run.is_told_to_end() { ", told to end" } else { "" };
    say("state", Some(format!("{}{told}", run.state)));
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
        say("details", failure.details.as_ref().map(json));
        say("fix", failure.fix.clone());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_does_not_have_is_not_shown() {
        let run = Run { id: "a".into(), deployment: "d".into(), state: "queued".into(), ..Run::default() };
        let text = text(&run);
        assert!(text.contains("state       queued"), "{text}");
        assert!(!text.contains("failure") && !text.contains("ended"), "{text}");
    }
}
