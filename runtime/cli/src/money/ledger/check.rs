//! `tidemill ledger check`: recomputes all totals.

use tidemill_api_types::LedgerCheck;
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let check: Record<LedgerCheck<'static>> = client.post("/v1/ledger/check").await?;
    if check.problems.is_empty() {
        let (entries, totals) = (grouped(check.entries), grouped(check.totals));
        printer.record(&check, &format!("the ledger is right: {entries} entries, {totals} totals"));
        return Ok(());
    }
    printer.record(&check, &check.problems.iter().map(|problem| clean(problem)).collect::<Vec<_>>().join("\n"));
    Err(CliError::failed(format!("the ledger differs from its entries in {} places", check.problems.len())).with_fix(
        "stop the host, keep the data folder unchanged, and restore the last backup into another folder to compare",
    ))
}
