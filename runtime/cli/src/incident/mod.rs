//! The commands about incidents.

mod act;
mod list;
mod show;

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill incidents`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct IncidentArgs {
    #[command(subcommand)]
    command: Option<IncidentCommand>,

    #[command(flatten)]
    list: list::IncidentListArgs,
}

/// The commands about incidents. Without one, the open incidents are listed.
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// List incidents, the latest first
    List(list::IncidentListArgs),
    /// Show an incident: what happened, what was done about it, and why
    Show(show::IncidentShowArgs),
    /// Acknowledge an incident: you have taken it on
    Ack(act::IncidentActArgs),
    /// Add a note to the timeline of an incident
    Comment(act::IncidentActArgs),
    /// Undo the last step of an incident whose effect lasts
    Undo(act::IncidentUndoArgs),
    /// Close an incident by hand
    Close(act::IncidentActArgs),
}

/// Returns the path of an incident.
fn path(number: u64) -> String {
    format!("/v1/incidents/{number}")
}

/// Runs the command.
pub async fn run(args: IncidentArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.command.unwrap_or(IncidentCommand::List(args.list)) {
        IncidentCommand::List(args) => list::run(&args, client, printer).await,
        IncidentCommand::Show(args) => show::run(&args, client, printer).await,
        IncidentCommand::Ack(args) => act::run(&args, act::ACKNOWLEDGE, client, printer).await,
        IncidentCommand::Comment(args) => act::run(&args, act::COMMENT, client, printer).await,
        IncidentCommand::Undo(args) => act::undo(&args, client, printer).await,
        IncidentCommand::Close(args) => act::run(&args, act::CLOSE, client, printer).await,
    }
}
