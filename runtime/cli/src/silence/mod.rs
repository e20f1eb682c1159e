//! The commands about silences of alerts.

mod create;
mod delete;
mod list;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about silences.
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// List the silences that have not ended
    List(list::SilenceListArgs),
    /// Create a silence: alerts that it matches are not announced until it ends
    Create(create::SilenceCreateArgs),
    /// Delete a silence, and announce what it silenced
    Delete(delete::SilenceDeleteArgs),
}

/// Runs the command.
pub async fn run(command: SilenceCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        SilenceCommand::List(args) => list::run(&args, client, printer).await,
        SilenceCommand::Create(args) => create::run(&args, client, printer).await,
        SilenceCommand::Delete(args) => delete::run(&args, client, printer).await,
    }
}
