//! `tidemill retry ID…`: tries failed or parked runs again.

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Which runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs' ids
    #[arg(required = true)]
    ids: Vec<String>,
}

/// Carries it out: each by itself, so that one that cannot be tried again does not keep the others from it.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    super::each(&args.ids, "retry", client, printer).await
}
