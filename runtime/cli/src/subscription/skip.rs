//! `tidemill subscriptions skip`.

use serde_json::Value;

use super::Which;
use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Carries it out.
pub async fn run(which: &Which, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let answer: Value = client.post(&format!("{}/skip", which.path())).await?;
    let skipped = answer["skipped"].as_u64().unwrap_or_default();
    printer.record(&answer, &format!("{}/{} leaves out {skipped} events", which.deployment, which.name));
    Ok(())
}
