//! `tidemill runs explain RUN`: explains why a run is in its state.

use serde::{Deserialize, Serialize};

use crate::client::{Client, encoded};
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
    let answer: Explanation = client.get(&format!("/v1/runs/{}/explain", encoded(&id))).await?;
    printer.record(&answer, &answer.text());
    Ok(())
}

/// The host's explanation of a run.
#[derive(Debug, Serialize, Deserialize)]
struct Explanation {
    run: String,
    deployment: String,
    state: String,
    summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Stage>,
}

/// A stage that a request or a run passes.
#[derive(Debug, Serialize, Deserialize)]
struct Stage {
    stage: String,
    verdict: String,
    detail: String,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

impl Explanation {
    fn text(&self) -> String {
        let mut lines = vec![
            format!("run {} of {} is {}", clean(&self.run), clean(&self.deployment), clean(&self.state)),
            format!("why   {}", clean(&self.summary)),
        ];
        lines.extend(self.next.as_ref().map(|next| format!("next  {}", clean(next))));
        for Stage { stage, verdict, detail, .. } in &self.stages {
            let mark = match verdict.as_str() {
                "waits" => "waits",
                "passes" => "ok",
                _ => "-",
            };
            lines.push(format!("  {:16} {mark:6} {}", clean(stage), clean(detail)));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_each_stage_in_order() {
        let answer: Explanation = serde_json::from_value(json!({
            "run": "r", "deployment": "a", "state": "queued", "summary": "it waits", "next": "Wait.",
            "stages": [
                { "stage": "key", "verdict": "passes", "detail": "it is in", "used": 1, "limit": 1 },
                { "stage": "rate", "verdict": "waits", "detail": "3 of 3\u{1b}", "until": "2026-01-01T00:00:00.000Z" },
            ],
        }))
        .unwrap();
        let lines: Vec<_> = answer.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "run r of a is queued");
        assert_eq!(lines[1..3], ["why   it waits", "next  Wait."]);
        assert_eq!(lines[3], "  key              ok     it is in");
        assert_eq!(lines[4], "  rate             waits  3 of 3 ");
        assert_eq!(serde_json::to_value(&answer).unwrap()["stages"][0]["used"], 1);
    }
}
