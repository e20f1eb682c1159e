//! `tidemill schedules backfill`.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use reqwest::Method;
use serde_json::{Value, json};
use tidemill_core::schedule::Overlap;

use super::ScheduleRef;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;
use crate::wire::grouped;

/// Arguments of `tidemill schedules backfill`.
#[derive(Debug, clap::Args)]
pub struct ScheduleBackfillArgs {
    #[command(flatten)]
    which: ScheduleRef,

    /// Start of the range, inclusive, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    start: String,

    /// End of the range, exclusive, not in the future
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    end: String,

    /// What a firing does while runs of the schedule have not ended; if left out, firings queue
    #[arg(long, value_name = "POLICY", value_parser = PossibleValuesParser::new(Overlap::ALL.map(Overlap::as_str)))]
    overlap: Option<String>,

    /// Wait until all runs are created, and show the progress
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,

    /// Do not ask for confirmation on a terminal
    #[arg(long, short)]
    yes: bool,

    /// Show only the number of firings
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command; prints the operation's id.
pub async fn run(args: &ScheduleBackfillArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut body = json!({ "start": args.start, "end": args.end });
    if let Some(overlap) = &args.overlap {
        body["overlap"] = json!(overlap);
    }
    let body = body.to_string().into_bytes();
    let path = format!("{}/backfill", args.which.path());
    let confirm = ConfirmArgs { yes: args.yes, dry_run: args.dry_run };
    if confirm.dry_run || confirm.asks() {
        let path = format!("{path}?dry_run=true");
        let answer = client.ask(Method::POST, &path, body.clone(), &[], Duration::ZERO).await?;
        let plan: Value = answer.json().unwrap_or_default();
        if confirm.dry_run {
            printer.record(&plan, &planned(&plan));
            return Ok(());
        }
        printer.note(&planned(&plan));
        confirm.ask("Create a run for each?", printer)?;
    }
    let answer = client.ask(Method::POST, &path, body, &[], Duration::ZERO).await?;
    let begun = operation::begun(&answer)?;
    if args.wait {
        let look = format!("tidemill schedules firings {} {}", args.which.deployment, args.which.name);
        return operation::follow(begun, &look, client, printer).await;
    }
    printer.record(&begun, &begun.id);
    Ok(())
}

fn planned(plan: &Value) -> String {
    let time = |name: &str| plan[name].as_str().unwrap_or_default();
    match plan["count"].as_u64().unwrap_or_default() {
        0 => "no firings in that range".to_owned(),
        1 => format!("1 firing, at {}", time("first")),
        count => format!("{} firings, from {} to {}", grouped(count), time("first"), time("last")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_formatted_on_one_line() {
        let plan = json!({ "count": 1_440, "first": "A", "last": "B" });
        assert_eq!(planned(&plan), "1,440 firings, from A to B");
        assert_eq!(planned(&json!({ "count": 1, "first": "A", "last": "A" })), "1 firing, at A");
        assert_eq!(planned(&json!({ "count": 0 })), "no firings in that range");
    }
}
