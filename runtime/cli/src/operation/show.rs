//! `tidemill operations show`.

use super::{Operation, OperationRef};
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Runs the command.
pub async fn run(which: &OperationRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let operation: Operation = client.get(&format!("/v1/operations/{}", encoded(&which.id))).await?;
    printer.record(&operation, &operation.whole());
    Ok(())
}
