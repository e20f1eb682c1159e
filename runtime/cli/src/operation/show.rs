//! `tidemill operations show`.

use tidemill_api_types::Operation;

use super::{OperationRef, whole};
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Runs the command.
pub async fn run(which: &OperationRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let operation: Record<Operation<'static>> = client.get(&format!("/v1/operations/{}", encoded(&which.id))).await?;
    printer.record(&operation, &whole(&operation));
    Ok(())
}
