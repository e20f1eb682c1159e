//! `tidemill deployments`: lists and controls deployments. `tidemill deploy` creates them.

mod delete;
mod history;
pub mod list;
pub mod pause;
mod rollback;
mod show;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill deployments`; without a subcommand, it lists deployments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Subcommand
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deployments (the default)
    List,
    /// Show a deployment with its whole manifest, defaults included
    Show(show::Args),
    /// Pause a deployment: admit no runs and fire no schedules; running runs continue
    Pause(pause::Args),
    /// Resume a deployment
    Resume(pause::ResumeArgs),
    /// List the revisions of a deployment, with the changes of each
    History(history::Args),
    /// Roll a deployment back to an earlier revision
    Rollback(rollback::Args),
    /// Delete a deployment with its state; its runs and ledger entries remain
    Delete(delete::Args),
}

/// Runs the command.
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None | Some(Verb::List) => list::run(client, printer).await,
        Some(Verb::Show(args)) => show::run(&args, client, printer).await,
        Some(Verb::Pause(args)) => pause::run(&args, client, printer).await,
        Some(Verb::Resume(args)) => pause::resume(&args, client, printer).await,
        Some(Verb::History(args)) => history::run(&args, client, printer).await,
        Some(Verb::Rollback(args)) => rollback::run(&args, client, printer).await,
        Some(Verb::Delete(args)) => delete::run(&args, client, printer).await,
    }
}
