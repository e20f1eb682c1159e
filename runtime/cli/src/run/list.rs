//! `tidemill runs list`: lists runs, newest first.

use tidemill_api_types::Run;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::Printer;

use super::selector::RunFilter;

/// Arguments of `tidemill runs list`.
#[derive(Debug, clap::Args)]
pub struct RunListArgs {
    #[command(flatten)]
    filter: RunFilter,

    /// List only the child runs of this run, oldest first
    #[arg(long, value_name = "RUN", conflicts_with_all = ["deployment", "state", "labels", "since", "until"])]
    parent: Option<String>,

    /// Maximum number of runs
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Runs the command.
pub async fn run(args: &RunListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut query = args.filter.query();
    if let Some(parent) = &args.parent {
        query = query.with("parent", super::reference::id(parent, client).await?);
    }
    let runs: Vec<Record<Run<'static>>> = client.list(&query.of_path("/v1/runs"), args.limit as usize).await?;
    printer.rows(&runs, "no runs: start one with `tidemill run NAME`");
    Ok(())
}
