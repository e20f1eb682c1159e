//! `tidemill runs parked`: lists the runs that wait for an operator, counted by cause, with what to
//! do next. Cancelled runs whose compensation failed are among them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};
use crate::wire::grouped;

/// Maximum length of a message in a table, in characters.
const MESSAGE: usize = 60;

/// Arguments of `tidemill runs parked`.
#[derive(Debug, clap::Args)]
#[command(after_help = "To retry them: tidemill runs retry --parked [--deployment NAME] [--code CODE]\n\
                        A cancelled run is listed if its compensation failed: tidemill runs cancel ID removes it from the list")]
pub struct RunParkedArgs {
    /// Show only runs of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Show only runs with this code
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,

    /// Show only the counts, by deployment and code
    #[arg(long)]
    counts: bool,

    /// Maximum number of runs
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

/// The host's answer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ParkedPage {
    items: Vec<ParkedRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    groups: Vec<ParkedGroup>,
}

/// A parked run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ParkedRun {
    run: String,
    deployment: String,
    state: String,
    since: String,
    attempt: u32,
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

/// The parked runs of one deployment with one code.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ParkedGroup {
    deployment: String,
    code: String,
    runs: u64,
    oldest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for ParkedRun {
    const HEADS: &'static [&'static str] = &["RUN", "DEPLOYMENT", "STATE", "SINCE", "ATTEMPT", "CODE", "WHY"];

    fn cells(&self) -> Vec<String> {
        let message = clean(&self.message);
        let short: String = message.chars().take(MESSAGE).collect();
        let why = if short.len() < message.len() { format!("{short}…") } else { short };
        let (attempt, code) = (self.attempt.to_string(), clean(&self.code));
        let (run, deployment, state) = (self.run.clone(), self.deployment.clone(), self.state.clone());
        vec![run, deployment, state, self.since.clone(), attempt, code, why]
    }
}

impl Row for ParkedGroup {
    const HEADS: &'static [&'static str] = &["RUNS", "DEPLOYMENT", "CODE", "OLDEST", "FIX"];

    fn cells(&self) -> Vec<String> {
        let fix = clean(self.fix.as_deref().unwrap_or_default());
        vec![grouped(self.runs), self.deployment.clone(), clean(&self.code), self.oldest.clone(), fix]
    }
}

/// Runs the command.
pub async fn run(args: &RunParkedArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut query = vec![format!("limit={}", if args.counts { 1 } else { args.limit })];
    query.extend(args.deployment.iter().map(|name| format!("deployment={}", encoded(name))));
    query.extend(args.code.iter().map(|code| format!("code={}", encoded(code))));
    let inbox: ParkedPage = client.get(&format!("/v1/parked?{}", query.join("&"))).await?;
    const NOTHING: &str = "no run waits for an operator";
    if args.counts {
        printer.rows(&inbox.groups, NOTHING);
    } else if printer.is_json() {
        printer.value(&inbox);
    } else if inbox.groups.is_empty() {
        printer.note(NOTHING);
    } else {
        printer.rows(&inbox.groups, NOTHING);
        printer.line("");
        printer.rows(&inbox.items, NOTHING);
        if inbox.next.is_some() {
            printer.note("there are more: name a deployment or a code, or raise --limit");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_in_a_table() {
        let parked = ParkedRun { message: "é".repeat(MESSAGE + 1), ..ParkedRun::default() };
        assert_eq!(parked.cells()[6], format!("{}…", "é".repeat(MESSAGE)));
        let short = ParkedRun { message: "no\nluck".to_owned(), ..ParkedRun::default() };
        assert_eq!(short.cells()[6], "no luck");
    }
}
