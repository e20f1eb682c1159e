//! `tidemill alerts ack`: acknowledges an alert.

use tidemill_api_types::{AcknowledgeRequest, Alert};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill alerts ack`.
#[derive(Debug, clap::Args)]
pub struct AlertAckArgs {
    /// The alert
    id: String,

    /// A note for other people
    #[arg(long)]
    note: Option<String>,

    /// Who has seen the alert; `operator` if left out
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

/// Runs the command.
pub async fn run(args: &AlertAckArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let request = AcknowledgeRequest { actor: args.actor.clone(), note: args.note.clone() };
    let path = format!("{}/acknowledge", super::path(&args.id));
    let alert: Record<Alert<'static>> = client.post_json(&path, &request).await?;
    printer.record(&alert, super::show::text(&alert).trim_end());
    Ok(())
}
