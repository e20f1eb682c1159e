//! Secrets: sets, lists and deletes them, makes a master key, and shows its rotation. A value is
//! read from a file, standard input or a prompt, never from the command line, which other users of
//! the machine can see.

mod delete;
mod list;
pub mod new_master_key;
mod rotation;
mod set;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// List secrets, without their values
    List,
    /// Set a secret; its value comes from a file, standard input or a prompt
    Set(set::SecretSetArgs),
    /// Delete a secret with all its versions
    Delete(delete::SecretDeleteArgs),
    /// Make a master key, which seals the secrets of a host; needs no host
    NewMasterKey(new_master_key::NewMasterKeyArgs),
    /// Show the master key's id, and the progress of its rotation
    Rotation,
}

impl SecretCommand {
    /// Returns whether the command calls no host.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::NewMasterKey(_))
    }
}

/// Runs the command.
pub async fn run(command: SecretCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        SecretCommand::List => list::run(client, printer).await,
        SecretCommand::Set(args) => set::run(&args, client, printer).await,
        SecretCommand::Delete(args) => delete::run(&args, client, printer).await,
        SecretCommand::NewMasterKey(args) => new_master_key::run(&args, printer),
        SecretCommand::Rotation => rotation::run(client, printer).await,
    }
}
