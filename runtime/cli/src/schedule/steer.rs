//! `tidemill schedules pause`, `resume` and `trigger`.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::Which;
use crate::client::Client;
use crate::deployment::pause::note;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::Run;

/// Which, and why.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    #[command(flatten)]
    which: Which,

    /// Why, for whoever wonders later
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses it.
pub async fn pause(args: &PauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("{}/pause", args.which.path());
    let answer = client.ask(Method::POST, &path, note(&args.note), &[], Duration::ZERO).await?;
    said(&args.which, "paused", &answer.json().unwrap_or_default(), printer);
    Ok(())
}

/// Lets it go on.
pub async fn resume(which: &Which, client: &Client, printer: &Printer) -> Result<(), CliError> {
    said(which, "resumed", &client.post(&format!("{}/resume", which.path())).await?, printer);
    Ok(())
}

/// Fires it once; prints the run's id.
pub async fn trigger(which: &Which, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record = client.post(&format!("{}/trigger", which.path())).await?;
    let run: Run = serde_json::from_value(record.clone()).unwrap_or_default();
    printer.record(&record, &run.id);
    Ok(())
}

fn said(which: &Which, what: &str, record: &Value, printer: &Printer) {
    printer.record(record, &format!("{}/{} {what}", which.deployment, which.name));
}
