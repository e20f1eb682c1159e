//! `tidemill run-info ID`: shows one run, with its input and output.

use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::wire::{Run, bytes, grouped, trigger};

/// Which run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's id
    id: String,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let run: Run = client.get(&format!("/v1/runs/{}", encoded(&args.id))).await?;
    printer.record(&run, &text(&run));
    Ok(())
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
    say("state", Some(run.state.clone()));
    say("trigger", Some(trigger(&run.trigger)));
    say("attempt", Some(run.attempt.to_string()));
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
