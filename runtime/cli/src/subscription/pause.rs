//! `tidemill subscriptions pause` and `resume`.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::SubscriptionRef;
use crate::client::Client;
use crate::deployment::pause::note;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::grouped;

/// Arguments of `tidemill subscriptions pause`.
#[derive(Debug, clap::Args)]
pub struct SubscriptionPauseArgs {
    #[command(flatten)]
    which: SubscriptionRef,

    /// The reason, kept as a note
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses a subscription.
pub async fn pause(args: &SubscriptionPauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("{}/pause", args.which.path());
    let answer = client.ask(Method::POST, &path, note(&args.note), &[], Duration::ZERO).await?;
    said(&args.which, "paused", &answer.json().unwrap_or_default(), printer);
    Ok(())
}

/// Resumes a subscription.
pub async fn resume(which: &SubscriptionRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record: Value = client.post(&format!("{}/resume", which.path())).await?;
    said(which, "resumed", &record, printer);
    Ok(())
}

fn said(SubscriptionRef { deployment, name }: &SubscriptionRef, change: &str, record: &Value, printer: &Printer) {
    let waiting = record["waiting"].as_u64().unwrap_or_default();
    let waiting = match waiting {
        0 => "nothing waits for it".to_owned(),
        1 => "1 event waits for it".to_owned(),
        more => format!("{} events wait for it", grouped(more)),
    };
    printer.record(record, &format!("{deployment}/{name} {change}: {waiting}"));
}
