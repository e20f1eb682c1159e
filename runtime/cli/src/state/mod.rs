//! `tidemill state`: shows and edits the state of a deployment.

mod delete;
mod get;
mod list;
mod set;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill state`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The event feed announces each change. A run that has read the key repeats the transaction that read it."
)]
pub struct Args {
    /// Subcommand
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the keys of a deployment
    List(list::Args),
    /// Print a value
    Get(get::Args),
    /// Set a value
    Set(set::Args),
    /// Delete a value
    Delete(delete::Args),
}

/// A value, by its key.
#[derive(Debug, clap::Args)]
struct Entry {
    /// The deployment
    deployment: String,

    /// The key
    key: String,
}

impl Entry {
    /// # Errors
    ///
    /// If no HTTP client can send the key in a path.
    fn path(&self) -> Result<String, CliError> {
        if matches!(self.key.as_str(), "" | "." | "..") {
            return Err(CliError::usage(
                format!("the key `{}` cannot be part of a path", self.key),
                "change this key by a run of the deployment",
            ));
        }
        Ok(format!("/v1/deployments/{}/state/{}", encoded(&self.deployment), encoded(&self.key)))
    }
}

/// Runs the command.
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        Verb::List(args) => list::run(&args, client, printer).await,
        Verb::Get(args) => get::run(&args, client, printer).await,
        Verb::Set(args) => set::run(&args, client, printer).await,
        Verb::Delete(args) => delete::run(&args, client, printer).await,
    }
}
