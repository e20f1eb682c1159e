//! `tidemill schedules preview`.

use tidemill_api_types::SchedulePreview;

use super::ScheduleRef;
use super::upcoming::{ends, lines};
use crate::client::{Client, Record};
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
    let path = format!("{}/preview?limit={}", args.which.path(), args.count);
    let preview: Record<SchedulePreview> = client.get(&path).await?;
    if !preview.items.is_empty() || printer.is_json() {
        printer.record(&preview, &lines(&preview.items, 0));
    }
    if let Some(why) = ends(preview.ends.as_deref()).filter(|_| !printer.is_json()) {
        let after = match (preview.items.is_empty(), preview.ends.as_deref()) {
            (_, Some("blocked")) => "it does not fire",
            (true, _) => "it will not fire again",
            (false, _) => "it fires no more after that",
        };
        printer.note(&format!("{after}: {why}"));
    }
    Ok(())
}
