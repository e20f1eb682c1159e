//! `tidemill publish TOPIC`: publishes an event.

use reqwest::Method;
use tidemill_api_types::PublishResult;
use tidemill_core::topics::EVENT_BYTES;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Every matching subscription makes one run for the event.\n\
                        For example: tidemill publish orders.created --payload '{\"order\": 7}' --key order-7")]
pub struct TopicPublishArgs {
    /// The topic
    topic: String,

    /// The payload: JSON, or @FILE for a file's JSON, or @- for standard input's; at most 64 KiB
    #[arg(long, short, default_value = "null", value_name = "JSON|@FILE")]
    payload: String,

    /// Idempotency key: the same key publishes one event
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Runs the command; prints the event's id.
pub async fn run(args: &TopicPublishArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let payload = crate::run::start::json("--payload", &args.payload, EVENT_BYTES)?;
    let path = format!("/v1/topics/{}/events", encoded(&args.topic));
    let headers: Vec<_> = args.key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let published: Record<PublishResult<'static>> = client.ask(Method::POST, &path, payload, &headers).await?;
    if published.duplicate {
        printer.note("the event was already published");
    }
    printer.record(&published, &published.id.to_string());
    Ok(())
}
