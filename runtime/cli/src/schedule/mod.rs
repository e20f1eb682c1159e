//! `tidemill schedules`: lists and controls schedules. Manifests define them.

mod backfill;
pub mod firings;
mod list;
mod passed;
mod preview;
mod steer;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill schedules`; without a subcommand, it lists schedules.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Subcommand
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules (the default)
    List(list::Args),
    /// Pause schedules until they are resumed
    Pause(steer::PauseArgs),
    /// Resume schedules
    Resume(steer::ScheduleSelector),
    /// Make schedules follow the clock after it was set back; times that fired before may fire
    /// again
    Resync(steer::ScheduleSelector),
    /// Trigger a schedule once, now
    Trigger(ScheduleRef),
    /// Preview the next firings
    Preview(preview::Args),
    /// Show irregular firings: skipped, dropped, late and missed ones
    Firings(passed::Args),
    /// Backfill firings in the past
    Backfill(backfill::Args),
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
pub async fn run(args: Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match args.verb {
        None => list::run(&list::Args::default(), client, printer).await,
        Some(Verb::List(args)) => list::run(&args, client, printer).await,
        Some(Verb::Pause(args)) => steer::pause(&args, client, printer).await,
        Some(Verb::Resume(whom)) => steer::resume(&whom, client, printer).await,
        Some(Verb::Resync(whom)) => steer::resync(&whom, client, printer).await,
        Some(Verb::Trigger(which)) => steer::trigger(&which, client, printer).await,
        Some(Verb::Preview(args)) => preview::run(&args, client, printer).await,
        Some(Verb::Firings(args)) => passed::run(&args, client, printer).await,
        Some(Verb::Backfill(args)) => backfill::run(&args, client, printer).await,
    }
}
