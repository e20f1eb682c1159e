//! `tidemill ledger head`: shows the number and hash of the last entry.

use tidemill_api_types::LedgerHead;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let head: Record<LedgerHead> = client.get("/v1/ledger/head").await?;
    printer.record(&head, &format!("{} {}", head.sequence, clean(&head.hash)));
    Ok(())
}
