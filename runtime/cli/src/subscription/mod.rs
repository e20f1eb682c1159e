//! `tidemill subscriptions`: lists subscriptions and steers them. Manifests make them.

mod list;
mod pause;
pub mod replay;
mod skip;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// What to do with which; a list where nothing is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them (the default)
    List(list::Args),
    /// Give one no events until it is resumed: they wait
    Pause(pause::Args),
    /// Give it events again, those that wait first
    Resume(SubscriptionRef),
    /// Leave out all that waits for one
    Skip(skip::Args),
}

/// One subscription.
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

/// Carries it out.
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None => list::run(&list::Args::default(), client, printer).await,
        Some(Verb::List(args)) => list::run(&args, client, printer).await,
        Some(Verb::Pause(args)) => pause::pause(&args, client, printer).await,
        Some(Verb::Resume(which)) => pause::resume(&which, client, printer).await,
        Some(Verb::Skip(args)) => skip::run(&args, client, printer).await,
    }
}
