//! `tidemill runs explain RUN`: explains why a run is in its state.

use tidemill_api_types::{Explanation, Stage};

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill runs explain`.
#[derive(Debug, clap::Args)]
pub struct RunExplainArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    run: String,
}

/// Runs the command.
pub async fn run(args: &RunExplainArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.run, client).await?;
    let answer: Record<Explanation<'static>> = client.get(&format!("/v1/runs/{}/explain", encoded(&id))).await?;
    printer.record(&answer, &text(&answer));
    Ok(())
}

fn text(explanation: &Explanation<'_>) -> String {
    let Explanation { run, deployment, state, summary, next, stages } = explanation;
    let mut lines = vec![format!("run {run} of {deployment} is {state}"), format!("why   {}", clean(summary))];
    lines.extend(next.as_ref().map(|next| format!("next  {}", clean(next))));
    for Stage { stage, verdict, detail, .. } in stages {
        let mark = match &**verdict {
            "waits" => "waits",
            "passes" => "ok",
            _ => "-",
        };
        lines.push(format!("  {:16} {mark:6} {}", clean(stage), clean(detail)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_each_stage_in_order() {
        let answer: Record<Explanation<'static>> = serde_json::from_value(json!({
            "run": "0".repeat(26), "deployment": "a", "state": "queued", "summary": "it waits", "novelty": 1, "next": "Wait.",
            "stages": [
                { "stage": "key", "verdict": "passes", "detail": "it is in", "used": 1, "limit": 1 },
                { "stage": "rate", "verdict": "waits", "detail": "3 of 3\u{1b}", "until": "2026-01-01T00:00:00.000Z" },
            ],
        }))
        .unwrap();
        let lines: Vec<_> = text(&answer).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], format!("run {} of a is queued", "0".repeat(26)));
        assert_eq!(lines[1..3], ["why   it waits", "next  Wait."]);
        assert_eq!(lines[3], "  key              ok     it is in");
        assert_eq!(lines[4], "  rate             waits  3 of 3 ");
        assert_eq!(serde_json::to_value(&answer).unwrap()["novelty"], 1);
    }
}
