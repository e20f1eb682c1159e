//! The commands about the health of the host and of deployments.

mod history;
mod list;
mod show;

use clap::{Args, Subcommand};

pub(crate) use show::figure;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill health`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HealthArgs {
    #[command(subcommand)]
    command: Option<HealthCommand>,

    #[command(flatten)]
    list: list::HealthListArgs,
}

/// The commands about health. Without one, the deployments are listed.
#[derive(Debug, Subcommand)]
pub enum HealthCommand {
    /// List the health of deployments
    List(list::HealthListArgs),
    /// Show the health of a deployment: its checks, its signals and its uptime
    Show(show::HealthShowArgs),
    /// List the changes of a deployment's health
    History(history::HealthHistoryArgs),
}

/// Returns the path of the health of a deployment.
fn path(deployment: &str) -> String {
    format!("/v1/health/deployments/{}", encoded(deployment))
}

/// Runs the command.
pub async fn run(args: HealthArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.command.unwrap_or(HealthCommand::List(args.list)) {
        HealthCommand::List(args) => list::run(&args, client, printer).await,
        HealthCommand::Show(args) => show::run(&args, client, printer).await,
        HealthCommand::History(args) => history::run(&args, client, printer).await,
    }
}
