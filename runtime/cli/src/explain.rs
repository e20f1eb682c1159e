//! `tidemill explain RUN` explains why a run is in its state. `tidemill explain CODE` shows the
//! page of an error code, without a host.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tidemill_core::codes::{SDK_CODES, SdkCode};
use tidemill_core::{Code, RunId};

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::run::reference;

/// A run or an error code to explain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run (its id, the beginning or the end of it, last, or DEPLOYMENT/KEY), or an error code,
    /// with or without `host/`. Without an argument, all codes are listed
    #[arg(value_name = "CODE|RUN")]
    what: Option<String>,
}

/// Explains the run or the code, or lists all codes.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match &args.what {
        None => {
            all(printer);
            Ok(())
        }
        Some(text) if names_run(text) => {
            let id = reference::id(text, client).await?;
            let answer: Explanation = client.get(&format!("/v1/runs/{}/explain", encoded(&id))).await?;
            printer.record(&answer, &answer.text());
            Ok(())
        }
        Some(text) => one(text, printer),
    }
}

/// Returns whether the text names a run rather than a code. A code consists of words of letters
/// only, joined by hyphens.
fn names_run(text: &str) -> bool {
    let code = |text: &str| Code::parse(text).is_some() || Code::parse(&format!("host/{text}")).is_some();
    match text.split_once('/') {
        Some((before, _)) => before != "host",
        None => {
            text == "last"
                || text.parse::<RunId>().is_ok()
                || (text.bytes().any(|byte| byte.is_ascii_digit()) && reference::could_be_part(text) && !code(text))
        }
    }
}

fn all(printer: &Printer) {
    if printer.is_json() {
        printer.value(&Code::ALL.iter().map(|code| record(*code)).collect::<Vec<_>>());
    } else {
        Code::ALL.iter().for_each(|code| printer.line(&format!("{:32} {}", code.as_str(), code.title())));
        SDK_CODES.iter().for_each(|code| printer.line(&format!("{:32} {}", code.name, code.title)));
    }
}

fn one(text: &str, printer: &Printer) -> Result<(), CliError> {
    let full = if text.starts_with("host/") { text.to_owned() } else { format!("host/{text}") };
    if let Some(code) = Code::parse(&full) {
        printer.record(&record(code), code.page().trim_end());
        return Ok(());
    }
    if let Some(code) = SdkCode::parse(text) {
        let record = json!({ "code": code.name, "title": code.title, "page": code.page });
        printer.record(&record, code.page.trim_end());
        return Ok(());
    }
    let near = SdkCode::nearest(text).map(|code| code.name).or_else(|| Code::nearest(text).map(Code::as_str));
    Err(CliError::usage(
        format!("`{}` is not one of the host's codes", clean(text)),
        near.map_or_else(
            || "`tidemill explain` lists them; any other code without `host/` is the module's own".to_owned(),
            |code| format!("did you mean `tidemill explain {code}`?"),
        ),
    ))
}

fn record(code: Code) -> serde_json::Value {
    json!({
        "code": code.as_str(), "title": code.title(), "fix": code.fix(), "status": code.status(),
        "retryable": code.is_retryable(), "page": code.page(),
    })
}

/// Shows the host's explanation of a run.
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
    use super::*;

    #[test]
    fn a_run_is_distinguished_from_a_code() {
        for run in ["last", "orders/order-7", "01kakq3vj6x0cm4kd9be2f7h1n", "h1n", "orders/last"] {
            assert!(names_run(run), "{run}");
        }
        for code in ["limit-fuel", "host/limit-fuel", "limit-feul", "trap", "bad-input"] {
            assert!(!names_run(code), "{code}");
        }
    }

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
