//! `tidemill schedules list`.

use tidemill_api_types::Schedule;
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;
use crate::text::{paused, time};

/// Arguments of `tidemill schedules list`.
#[derive(Debug, Default, clap::Args)]
pub struct ScheduleListArgs {
    /// List only schedules of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,
}

impl Row for Schedule<'_> {
    const HEADS: &'static [&'static str] =
        &["DEPLOYMENT", "SCHEDULE", "NEXT", "LAST", "FIRED", "SKIPPED", "DROPPED", "LATE", "MISSED", "STATE"];

    fn cells(&self) -> Vec<String> {
        let mut state = paused(self.paused.as_ref()).unwrap_or_else(|| self.state.to_string());
        if let Some(remaining) = self.remaining.filter(|remaining| *remaining > 0) {
            state = format!("{state}, {} left", grouped(remaining));
        }
        if let Some(why) = &self.blocked {
            state = format!("{state}: {why}");
        }
        if let Some(until) = self.silent_until {
            state = format!("{state}, silent until {until}: the clock was set back");
        }
        vec![
            self.deployment.to_string(),
            self.name.to_string(),
            time(self.next),
            time(self.last),
            self.fired.to_string(),
            self.skipped.to_string(),
            self.dropped.to_string(),
            self.late.to_string(),
            self.missed.to_string(),
            state,
        ]
    }
}

/// Runs the command.
pub async fn run(args: &ScheduleListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = Query::default().with_each("deployment", &args.deployment).of_path("/v1/schedules");
    let all: Vec<Record<Schedule<'static>>> = client.all(&path).await?;
    printer.rows(&all, "no schedules: write a [[schedule]] in a manifest and deploy it");
    Ok(())
}
