//! `tidemill deployments`: lists deployments and steers them. `tidemill deploy` makes them.

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
    List,
    /// Show one with its whole manifest, defaults included
    Show(show::Args),
    /// Admit no more runs and fire no more schedules; runs that have begun go on
    Pause(pause::Args),
    /// Admit and fire again
    Resume(pause::ResumeArgs),
    /// List the revisions of one, with what each changed
    History(history::Args),
    /// Return one to an earlier revision
    Rollback(rollback::Args),
    /// Delete one with its state; its runs and its ledger entries stay
    Delete(delete::Args),
}

/// Carries it out.
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
