//! `tidemill schedules list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::wire::grouped;

/// Arguments of `tidemill schedules list`.
#[derive(Debug, Default, clap::Args)]
pub struct ScheduleListArgs {
    /// List only schedules of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Schedule {
    deployment: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Value>,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    fired: u64,
    skipped: u64,
    dropped: u64,
    late: u64,
    missed: u64,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Schedule {
    const HEADS: &'static [&'static str] =
        &["DEPLOYMENT", "SCHEDULE", "NEXT", "LAST", "FIRED", "SKIPPED", "DROPPED", "LATE", "MISSED", "STATE"];

    fn cells(&self) -> Vec<String> {
        let mut state = crate::deployment::list::paused(self.paused.as_ref()).unwrap_or_else(|| self.state.clone());
        if let Some(remaining) = self.remaining.filter(|remaining| *remaining > 0) {
            state = format!("{state}, {} left", grouped(remaining));
        }
        if let Some(why) = &self.blocked {
            state = format!("{state}: {why}");
        }
        if let Some(until) = &self.silent_until {
            state = format!("{state}, silent until {until}: the clock was set back");
        }
        vec![
            self.deployment.clone(),
            self.name.clone(),
            self.next.clone().unwrap_or_default(),
            self.last.clone().unwrap_or_default(),
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
    let path = match &args.deployment {
        Some(deployment) => format!("/v1/schedules?deployment={}", encoded(deployment)),
        None => "/v1/schedules".to_owned(),
    };
    let all: Vec<Schedule> = client.all(&path).await?;
    printer.rows(&all, "no schedules: write a [[schedule]] in a manifest and deploy it");
    Ok(())
}
