//! `tidemill runs`: lists runs, newest first.

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::Run;

/// Which runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Only those in this state: queued, running, suspended, succeeded, failed, cancelled or parked
    #[arg(long, short, value_name = "STATE", value_parser = clap::builder::PossibleValuesParser::new(tidemill_core::run::RunState::NAMES))]
    state: Vec<String>,

    /// Only those with this label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Only those made at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// How many at most
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut filters = Vec::new();
    filters.extend(args.deployment.iter().map(|name| format!("deployment={}", encoded(name))));
    filters.extend(args.state.iter().map(|state| format!("state={}", encoded(state))));
    filters.extend(args.labels.iter().map(|label| format!("label={}", encoded(label))));
    filters.extend(args.since.iter().map(|since| format!("since={}", encoded(since))));
    let path = if filters.is_empty() { "/v1/runs".to_owned() } else { format!("/v1/runs?{}", filters.join("&")) };
    let runs: Vec<Run> = client.list(&path, args.limit as usize).await?;
    printer.rows(&runs, "no runs: start one with `tidemill run NAME`");
    Ok(())
}
