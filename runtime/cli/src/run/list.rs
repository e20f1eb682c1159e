//! `tidemill runs`: lists runs, newest first.

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::Run;

use super::which::RunFilter;

/// Arguments of `tidemill runs`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    filter: RunFilter,

    /// List only the child runs of this run, oldest first
    #[arg(long, value_name = "RUN", conflicts_with_all = ["deployment", "state", "labels", "since", "until"])]
    parent: Option<String>,

    /// Maximum number of runs
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List a run's pending signals, or drop one
    Signals(super::signals::Args),
}

/// Runs the command.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    if let Some(Verb::Signals(args)) = &args.verb {
        return super::signals::run(args, client, printer).await;
    }
    let mut filters = args.filter.query();
    if let Some(parent) = &args.parent {
        filters.push(format!("parent={}", encoded(&super::reference::id(parent, client).await?)));
    }
    let path = if filters.is_empty() { "/v1/runs".to_owned() } else { format!("/v1/runs?{}", filters.join("&")) };
    let runs: Vec<Run> = client.list(&path, args.limit as usize).await?;
    printer.rows(&runs, "no runs: start one with `tidemill run NAME`");
    Ok(())
}
