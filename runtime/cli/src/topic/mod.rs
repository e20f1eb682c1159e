//! `tidemill topics`: lists topics and their events, and deletes topics. Publishing creates them.

mod delete;
mod events;
mod list;
pub mod publish;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill topics`; without a subcommand, it lists topics.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Subcommand
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List topics (the default)
    List,
    /// List the events of a topic, oldest first
    Events(events::Args),
    /// Delete a topic with its events
    Delete(delete::Args),
}

/// Runs the command.
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None | Some(Verb::List) => list::run(client, printer).await,
        Some(Verb::Events(args)) => events::run(&args, client, printer).await,
        Some(Verb::Delete(args)) => delete::run(&args, client, printer).await,
    }
}
