//! The commands about alerts and their channels.

mod ack;
mod channels;
mod list;
mod show;
mod test;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about alerts.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List alerts that are not over, the newest first
    List(list::AlertListArgs),
    /// Show an alert with the notifications about it
    Show(show::AlertShowArgs),
    /// Acknowledge an alert, so that it is neither repeated nor escalated
    Ack(ack::AlertAckArgs),
    /// List the channels for notifications, and what waits for them
    Channels(channels::AlertChannelsArgs),
    /// Send a test message to a channel, and wait for its answer
    Test(test::AlertTestArgs),
}

/// Returns the path of an alert.
fn path(id: &str) -> String {
    format!("/v1/alerts/{}", encoded(id))
}

/// Runs the command.
pub async fn run(command: AlertCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        AlertCommand::List(args) => list::run(&args, client, printer).await,
        AlertCommand::Show(args) => show::run(&args, client, printer).await,
        AlertCommand::Ack(args) => ack::run(&args, client, printer).await,
        AlertCommand::Channels(args) => channels::run(&args, client, printer).await,
        AlertCommand::Test(args) => test::run(&args, client, printer).await,
    }
}
