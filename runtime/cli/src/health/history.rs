//! `tidemill health history`: lists the changes of a deployment's health.

use tidemill_api_types::HealthTransition;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill health history`.
#[derive(Debug, clap::Args)]
pub struct HealthHistoryArgs {
    /// The deployment
    deployment: String,
}

impl Row for HealthTransition<'_> {
    const HEADS: &'static [&'static str] = &["AT", "FROM", "TO", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![self.at.to_string(), self.from.to_string(), self.to.to_string(), self.reason.to_string()]
    }
}

/// Runs the command.
pub async fn run(args: &HealthHistoryArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("{}/transitions", super::path(&args.deployment));
    let all: Vec<Record<HealthTransition<'static>>> = client.all(&path).await?;
    printer.rows(&all, "its health has not changed");
    Ok(())
}
