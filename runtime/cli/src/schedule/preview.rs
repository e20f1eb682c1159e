//! `tidemill schedules preview`.

use serde_json::Value;

use super::ScheduleRef;
use super::upcoming::{UpcomingFiring, ends};
use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill schedules preview`.
#[derive(Debug, clap::Args)]
pub struct SchedulePreviewArgs {
    #[command(flatten)]
    which: ScheduleRef,

    /// Number of firings; those that daylight saving drops are not counted
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    count: u32,
}

/// Runs the command.
pub async fn run(args: &SchedulePreviewArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let answer: Value = client.get(&format!("{}/preview?limit={}", args.which.path(), args.count)).await?;
    let firings: Vec<UpcomingFiring> = serde_json::from_value(answer["items"].clone()).unwrap_or_default();
    if !firings.is_empty() || printer.is_json() {
        printer.record(&answer, &UpcomingFiring::lines(&firings, 0));
    }
    if let Some(why) = ends(answer["ends"].as_str()).filter(|_| !printer.is_json()) {
        let after = match (firings.is_empty(), answer["ends"].as_str()) {
            (_, Some("blocked")) => "it does not fire",
            (true, _) => "it will not fire again",
            (false, _) => "it fires no more after that",
        };
        printer.note(&format!("{after}: {why}"));
    }
    Ok(())
}
