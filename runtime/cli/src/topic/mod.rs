//! Lists topics and their events, publishes events, and deletes topics. Publishing creates a topic.

mod delete;
mod events;
mod list;
pub mod publish;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List topics
    List,
    /// List the events of a topic, oldest first
    Events(events::TopicEventsArgs),
    /// Publish an event; `tidemill publish` is the short form
    Publish(publish::TopicPublishArgs),
    /// Delete a topic with its events
    Delete(delete::TopicDeleteArgs),
}

/// Runs the command.
pub async fn run(command: TopicCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        TopicCommand::List => list::run(client, printer).await,
        TopicCommand::Events(args) => events::run(&args, client, printer).await,
        TopicCommand::Publish(args) => publish::run(&args, client, printer).await,
        TopicCommand::Delete(args) => delete::run(&args, client, printer).await,
    }
}
