//! `tidemill schedules backfill`.

use clap::builder::PossibleValuesParser;
use tidemill_api_types::{BackfillPlan, BackfillRequest, Operation, Time};
use tidemill_core::schedule::Overlap;
use tidemill_core::wire::grouped;

use super::ScheduleRef;
use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;
use crate::text::time;

/// Arguments of `tidemill schedules backfill`.
#[derive(Debug, clap::Args)]
pub struct ScheduleBackfillArgs {
    #[command(flatten)]
    which: ScheduleRef,

    /// Start of the range, inclusive, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    start: Time,

    /// End of the range, exclusive, not in the future
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    end: Time,

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
    let request = BackfillRequest { start: args.start, end: args.end, overlap: args.overlap.clone() };
    let path = format!("{}/backfill", args.which.path());
    let confirm = ConfirmArgs { yes: args.yes, dry_run: args.dry_run };
    if confirm.dry_run || confirm.is_interactive() {
        let plan: Record<BackfillPlan> = client.post_json(&format!("{path}?dry_run=true"), &request).await?;
        if confirm.dry_run {
            printer.record(&plan, &planned(&plan));
            return Ok(());
        }
        printer.note(&planned(&plan));
        confirm.ask("Create a run for each?", printer)?;
    }
    let operation: Record<Operation<'static>> = client.post_json(&path, &request).await?;
    if args.wait {
        let look = format!("tidemill schedules firings {} {}", args.which.deployment, args.which.name);
        return operation::follow(operation, &look, client, printer).await;
    }
    printer.record(&operation, &operation.id);
    Ok(())
}

fn planned(plan: &BackfillPlan) -> String {
    match plan.count {
        0 => "no firings in that range".to_owned(),
        1 => format!("1 firing, at {}", time(plan.first)),
        count => format!("{} firings, from {} to {}", grouped(count), time(plan.first), time(plan.last)),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn a_plan_is_formatted_on_one_line() {
        let at = |millis| Some(Timestamp::from_millis(millis).into());
        let plan = BackfillPlan { count: 1_440, first: at(0), last: at(1) };
        assert_eq!(planned(&plan), "1,440 firings, from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.001Z");
        assert_eq!(planned(&BackfillPlan { count: 1, ..plan }), "1 firing, at 1970-01-01T00:00:00.000Z");
        assert_eq!(planned(&BackfillPlan { count: 0, first: None, last: None }), "no firings in that range");
    }
}
