//! Lists and controls deployments. `tidemill deploy` creates them.

mod breaker;
mod delete;
mod history;
mod list;
mod pause;
mod rollback;
mod show;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about deployments.
#[derive(Debug, Subcommand)]
pub enum DeploymentCommand {
    /// List deployments
    List,
    /// Show a deployment with its whole manifest, defaults included
    Show(show::DeploymentShowArgs),
    /// Pause a deployment: admit no runs and fire no schedules; running runs continue
    Pause(pause::DeploymentPauseArgs),
    /// Resume a deployment
    Resume(pause::DeploymentResumeArgs),
    /// Show the circuit breaker of a deployment, or decide who controls it
    Breaker(breaker::DeploymentBreakerArgs),
    /// List the revisions of a deployment, with the changes of each
    History(history::DeploymentHistoryArgs),
    /// Roll a deployment back to an earlier revision
    Rollback(rollback::DeploymentRollbackArgs),
    /// Delete a deployment with its state; its runs and ledger entries remain
    Delete(delete::DeploymentDeleteArgs),
}

/// Runs the command.
pub async fn run(command: DeploymentCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        DeploymentCommand::List => list::run(client, printer).await,
        DeploymentCommand::Show(args) => show::run(&args, client, printer).await,
        DeploymentCommand::Pause(args) => pause::run(&args, client, printer).await,
        DeploymentCommand::Resume(args) => pause::resume(&args, client, printer).await,
        DeploymentCommand::Breaker(args) => breaker::run(&args, client, printer).await,
        DeploymentCommand::History(args) => history::run(&args, client, printer).await,
        DeploymentCommand::Rollback(args) => rollback::run(&args, client, printer).await,
        DeploymentCommand::Delete(args) => delete::run(&args, client, printer).await,
    }
}
