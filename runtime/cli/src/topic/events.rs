//! `tidemill topics events`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill topics events`.
#[derive(Debug, clap::Args)]
pub struct TopicEventsArgs {
    /// The topic
    topic: String,

    /// List only events published at or after this time, such as 1h (ago), yesterday, 2026-11-29 or
    /// RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Option<String>,

    /// Maximum number of events
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Maximum length of a payload in a table, in characters.
const SHOWN: usize = 80;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Event {
    id: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<Publisher>,
    payload: Value,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Publisher {
    deployment: String,
    run: String,
}

impl Row for Event {
    const HEADS: &'static [&'static str] = &["EVENT", "PUBLISHED", "BY", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        let by = self.publisher.as_ref().map_or("an operator", |publisher| &publisher.deployment);
        let payload = self.payload.to_string();
        let mut shown: String = payload.chars().take(SHOWN).collect();
        if shown.len() < payload.len() {
            shown.push('…');
        }
        vec![self.id.clone(), self.at.clone(), by.to_owned(), shown]
    }
}

/// Runs the command.
pub async fn run(args: &TopicEventsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut path = format!("/v1/topics/{}/events", encoded(&args.topic));
    if let Some(since) = &args.since {
        path.push_str(&format!("?since={}", encoded(since)));
    }
    let events: Vec<Event> = client.list(&path, args.limit as usize).await?;
    printer.rows(&events, "no events");
    Ok(())
}
