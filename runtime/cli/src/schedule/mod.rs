//! `tidemill schedules`: lists schedules and steers them. Manifests make them.

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
    List(list::Args),
    /// Do not fire until resumed
    Pause(steer::PauseArgs),
    /// Fire again
    Resume(steer::ScheduleSelector),
    /// Follow the clock again after it was set back; times that fired before may fire again
    Resync(steer::ScheduleSelector),
    /// Fire once, now
    Trigger(ScheduleRef),
    /// Show when it will fire
    Preview(preview::Args),
    /// Show what did not go as usual: skipped, dropped, late and missed firings
    Firings(passed::Args),
    /// Make up for firings in the past
    Backfill(backfill::Args),
}

/// One schedule.
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

/// Carries it out.
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
