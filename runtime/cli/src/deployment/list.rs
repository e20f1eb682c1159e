//! `tidemill deployments list`.

use tidemill_api_types::{Breaker, Deployment};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};
use crate::text::{paused, short_digest};

impl Row for Deployment<'_> {
    const HEADS: &'static [&'static str] = &["DEPLOYMENT", "REVISION", "COMPONENT", "STATE", "SINCE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.revision.to_string(),
            short_digest(&self.component),
            state(self),
            self.updated_at.to_string(),
        ]
    }
}

/// Returns whether a deployment admits runs, and if not, why.
fn state(deployment: &Deployment<'_>) -> String {
    let held_back = |breaker: &&Breaker<'_>| matches!(&*breaker.state, "open" | "half-open" | "forced-open");
    paused(deployment.paused.as_ref()).unwrap_or_else(|| match deployment.breaker.as_ref().filter(held_back) {
        Some(breaker) => format!("breaker {}: {}", breaker.state, clean(&breaker.reason)),
        None => "active".to_owned(),
    })
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Deployment<'static>>> = client.all("/v1/deployments").await?;
    printer.rows(&all, "no deployments: make one with `tidemill deploy DIR`");
    Ok(())
}
