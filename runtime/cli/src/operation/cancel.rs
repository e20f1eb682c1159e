//! `tidemill operations cancel`.

use tidemill_api_types::Operation;

use super::{OperationRef, whole};
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Runs the command.
pub async fn run(which: &OperationRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/operations/{}/cancel", encoded(&which.id));
    let operation: Record<Operation<'static>> = client.post(&path).await?;
    printer.record(&operation, &whole(&operation));
    Ok(())
}
