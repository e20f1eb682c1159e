//! `tidemill operations cancel`.

use super::{Operation, OperationRef};
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Runs the command.
pub async fn run(which: &OperationRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let answer = client.post(&format!("/v1/operations/{}/cancel", encoded(&which.id))).await?;
    let operation: Operation = serde_json::from_value(answer)
        .map_err(|why| CliError::failed(format!("the host's answer is not an operation: {why}")))?;
    printer.record(&operation, &operation.whole());
    Ok(())
}
