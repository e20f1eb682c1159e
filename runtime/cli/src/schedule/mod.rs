//! Lists and controls schedules. Manifests define them.

mod actions;
mod backfill;
mod firings;
mod list;
mod preview;
pub mod upcoming;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// List schedules
    List(list::ScheduleListArgs),
    /// Pause schedules until they are resumed
    Pause(actions::SchedulePauseArgs),
    /// Resume schedules
    Resume(actions::ScheduleSelector),
    /// Make schedules follow the clock after it was set back; times that fired before may fire
    /// again
    Resync(actions::ScheduleSelector),
    /// Trigger a schedule once, now
    Trigger(ScheduleRef),
    /// Preview the next firings
    Preview(preview::SchedulePreviewArgs),
    /// Show irregular firings: skipped, dropped, late and missed ones
    Firings(firings::ScheduleFiringsArgs),
    /// Backfill firings in the past
    Backfill(backfill::ScheduleBackfillArgs),
}

/// A schedule, by name.
#[derive(Debug, clap::Args)]
pub struct ScheduleRef {
    /// The deployment
    deployment: String,
    /// The schedule's name
    name: String,
}

impl ScheduleRef {
    fn path(&self) -> String {
        format!("/v1/schedules/{}/{}", encoded(&self.deployment), encoded(&self.name))
    }
}

/// Runs the command.
pub async fn run(command: ScheduleCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        ScheduleCommand::List(args) => list::run(&args, client, printer).await,
        ScheduleCommand::Pause(args) => actions::pause(&args, client, printer).await,
        ScheduleCommand::Resume(selector) => actions::resume(&selector, client, printer).await,
        ScheduleCommand::Resync(selector) => actions::resync(&selector, client, printer).await,
        ScheduleCommand::Trigger(which) => actions::trigger(&which, client, printer).await,
        ScheduleCommand::Preview(args) => preview::run(&args, client, printer).await,
        ScheduleCommand::Firings(args) => firings::run(&args, client, printer).await,
        ScheduleCommand::Backfill(args) => backfill::run(&args, client, printer).await,
    }
}
