//! Lists and controls subscriptions. Manifests define them.

mod list;
mod pause;
mod replay;
mod skip;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// List subscriptions
    List(list::SubscriptionListArgs),
    /// Pause a subscription: events wait until it is resumed
    Pause(pause::SubscriptionPauseArgs),
    /// Resume a subscription, with the events that wait for it first
    Resume(SubscriptionRef),
    /// Replay events to a subscription
    Replay(replay::SubscriptionReplayArgs),
    /// Skip all events that wait for a subscription
    Skip(skip::SubscriptionSkipArgs),
}

/// A subscription, by name.
#[derive(Debug, clap::Args)]
pub struct SubscriptionRef {
    /// The deployment
    deployment: String,
    /// The subscription's name
    name: String,
}

impl SubscriptionRef {
    fn path(&self) -> String {
        format!("/v1/subscriptions/{}/{}", encoded(&self.deployment), encoded(&self.name))
    }
}

/// Runs the command.
pub async fn run(command: SubscriptionCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        SubscriptionCommand::List(args) => list::run(&args, client, printer).await,
        SubscriptionCommand::Pause(args) => pause::pause(&args, client, printer).await,
        SubscriptionCommand::Resume(which) => pause::resume(&which, client, printer).await,
        SubscriptionCommand::Replay(args) => replay::run(&args, client, printer).await,
        SubscriptionCommand::Skip(args) => skip::run(&args, client, printer).await,
    }
}
