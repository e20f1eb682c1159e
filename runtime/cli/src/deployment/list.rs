//! `tidemill deployments list`.

use tidemill_api_types::Deployment;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::{paused, short_digest};

impl Row for Deployment<'_> {
    const HEADS: &'static [&'static str] = &["DEPLOYMENT", "REVISION", "COMPONENT", "STATE", "SINCE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.revision.to_string(),
            short_digest(&self.component),
            paused(self.paused.as_ref()).unwrap_or_else(|| "active".to_owned()),
            self.updated_at.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Deployment<'static>>> = client.all("/v1/deployments").await?;
    printer.rows(&all, "no deployments: make one with `tidemill deploy DIR`");
    Ok(())
}
