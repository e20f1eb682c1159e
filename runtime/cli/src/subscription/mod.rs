//! `tidemill subscriptions`: lists and controls subscriptions. Manifests define them.

mod list;
mod pause;
pub mod replay;
mod skip;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill subscriptions`; without a subcommand, it lists subscriptions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Subcommand
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List subscriptions (the default)
    List(list::Args),
    /// Pause a subscription: events wait until it is resumed
    Pause(pause::Args),
    /// Resume a subscription, with the events that wait for it first
    Resume(SubscriptionRef),
    /// Skip all events that wait for a subscription
    Skip(skip::Args),
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
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None => list::run(&list::Args::default(), client, printer).await,
        Some(Verb::List(args)) => list::run(&args, client, printer).await,
        Some(Verb::Pause(args)) => pause::pause(&args, client, printer).await,
        Some(Verb::Resume(which)) => pause::resume(&which, client, printer).await,
        Some(Verb::Skip(args)) => skip::run(&args, client, printer).await,
    }
}
