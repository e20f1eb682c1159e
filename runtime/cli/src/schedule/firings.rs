//! `tidemill schedules firings`.

use tidemill_api_types::Firing;
use tidemill_core::wire::grouped;

use super::ScheduleRef;
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill schedules firings`.
#[derive(Debug, clap::Args)]
pub struct ScheduleFiringsArgs {
    #[command(flatten)]
    which: ScheduleRef,

    /// Maximum number of entries
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
}

impl Row for Firing<'_> {
    const HEADS: &'static [&'static str] = &["SEEN", "WHAT", "FIRINGS", "FIRST", "LAST", "WHY", "RUN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seen.to_string(),
            self.what.to_string(),
            if self.more { format!("over {}", grouped(self.count)) } else { grouped(self.count) },
            self.first.to_string(),
            if self.count > 1 { self.last.to_string() } else { String::new() },
            self.code.to_string(),
            self.run.map(|run| run.to_string()).unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &ScheduleFiringsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let list: Vec<Record<Firing<'static>>> = client.list(&format!("{}/firings", args.which.path()), most).await?;
    printer.rows(&list, "no irregular firings");
    Ok(())
}
