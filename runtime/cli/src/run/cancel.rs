//! `tidemill cancel ID…`: stops one or more runs.

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::Run;

/// Which runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs' ids
    #[arg(required = true)]
    ids: Vec<String>,
}

/// Carries it out: each by itself, so that one that cannot be cancelled does not keep the others from it.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut last = Ok(());
    for id in &args.ids {
        match client.post(&format!("/v1/runs/{}/cancel", encoded(id))).await {
            Ok(answer) => {
                let run: Run = serde_json::from_value(answer).unwrap_or_default();
                printer.record(&run, &format!("{id} {}", run.state));
            }
            Err(error @ CliError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                if let Err(earlier) = std::mem::replace(&mut last, Err(error)) {
                    printer.error(&earlier);
                }
            }
        }
    }
    last
}
