//! Shows and edits the state of a deployment.

mod delete;
mod get;
mod list;
mod set;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about the state of a deployment.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "The event feed announces each change. A run that has read the key repeats the transaction that read it."
)]
pub enum StateCommand {
    /// List the keys of a deployment
    List(list::StateListArgs),
    /// Print a value
    Get(get::StateGetArgs),
    /// Set a value
    Set(set::StateSetArgs),
    /// Delete a value
    Delete(delete::StateDeleteArgs),
}

/// A value, by its key.
#[derive(Debug, clap::Args)]
struct StateKey {
    /// The deployment
    deployment: String,

    /// The key
    key: String,
}

impl StateKey {
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
pub async fn run(command: StateCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        StateCommand::List(args) => list::run(&args, client, printer).await,
        StateCommand::Get(args) => get::run(&args, client, printer).await,
        StateCommand::Set(args) => set::run(&args, client, printer).await,
        StateCommand::Delete(args) => delete::run(&args, client, printer).await,
    }
}
