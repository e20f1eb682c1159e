//! `tidemill topics delete`.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Which.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic
    topic: String,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/topics/{}", encoded(&args.topic));
    let answer = client.ask(Method::DELETE, &path, Vec::new(), &[], Duration::ZERO).await?;
    let deleted: Value = answer.json().unwrap_or_default();
    let (events, lost) = (&deleted["events"], deleted["lost"].as_u64().unwrap_or_default());
    if lost > 0 {
        printer.warn(&format!("{lost} times an event was deleted before a subscription was given it"));
    }
    printer.record(&deleted, &format!("{} deleted with {events} events", args.topic));
    Ok(())
}
