//! `tidemill topics delete`.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::events;

/// Arguments of `tidemill topics delete`.
#[derive(Debug, clap::Args)]
pub struct TopicDeleteArgs {
    /// The topic
    topic: String,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &TopicDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/topics/{}", encoded(&args.topic));
    if args.confirm.dry_run || args.confirm.asks() {
        let topic: Value = client.get(&path).await?;
        let events = events(&topic);
        if args.confirm.dry_run {
            let text = format!("{} would be deleted with {events}; nothing was changed", args.topic);
            printer.record(&topic, &text);
            return Ok(());
        }
        args.confirm.ask(&format!("Delete {} with {events}?", args.topic), printer)?;
    }
    let answer = client.ask(Method::DELETE, &path, Vec::new(), &[], Duration::ZERO).await?;
    let deleted: Value = answer.json().unwrap_or_default();
    let lost = deleted["lost"].as_u64().unwrap_or_default();
    if lost > 0 {
        printer.warn(&format!(
            "{lost} deliveries were lost: events were deleted before their subscriptions received them"
        ));
    }
    printer.record(&deleted, &format!("{} deleted with {}", args.topic, events(&deleted)));
    Ok(())
}
