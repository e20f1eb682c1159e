//! `tidemill topics`: lists topics and their events, and deletes them. Publishing makes them.

mod delete;
mod events;
mod list;
pub mod publish;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// What to do; a list where nothing is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them (the default)
    List,
    /// List the events of one, oldest first
    Events(events::Args),
    /// Delete one with its events
    Delete(delete::Args),
}

/// Carries it out.
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None | Some(Verb::List) => list::run(client, printer).await,
        Some(Verb::Events(args)) => events::run(&args, client, printer).await,
        Some(Verb::Delete(args)) => delete::run(&args, client, printer).await,
    }
}
