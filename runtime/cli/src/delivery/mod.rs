//! Lists, shows and replays deliveries to hooks. Manifests define the hooks.

mod filter;
mod hooks;
mod list;
mod replay;
mod show;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about deliveries.
#[derive(Debug, Subcommand)]
pub enum DeliveryCommand {
    /// List deliveries to hooks, newest first
    List(list::DeliveryListArgs),
    /// Show a delivery with its headers and runs, or its body
    Show(show::DeliveryShowArgs),
    /// Replay deliveries: start a new run of each
    Replay(replay::DeliveryReplayArgs),
    /// List the hooks of a deployment, and the last requests that they refused
    Hooks(hooks::DeliveryHooksArgs),
}

/// Runs the command.
pub async fn run(command: DeliveryCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        DeliveryCommand::List(args) => list::run(&args, client, printer).await,
        DeliveryCommand::Show(args) => show::run(&args, client, printer).await,
        DeliveryCommand::Replay(args) => replay::run(&args, client, printer).await,
        DeliveryCommand::Hooks(args) => hooks::run(&args, client, printer).await,
    }
}
