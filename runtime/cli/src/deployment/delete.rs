//! `tidemill deployments delete`.

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Which, and what becomes of its runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The deployment
    name: String,

    /// Cancel its runs that have not ended; otherwise they keep it from being deleted
    #[arg(long)]
    cancel_runs: bool,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let how = if args.cancel_runs { "?runs=cancel" } else { "" };
    client.delete(&format!("/v1/deployments/{}{how}", encoded(&args.name))).await?;
    printer.record(&serde_json::json!({ "name": args.name, "deleted": true }), &format!("{} deleted", args.name));
    Ok(())
}
