//! `tidemill topics list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Topic {
    topic: String,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<String>,
    last_at: String,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Topic {
    const HEADS: &'static [&'static str] = &["TOPIC", "EVENTS", "FIRST", "LAST"];

    fn cells(&self) -> Vec<String> {
        let first = self.first_at.clone().unwrap_or_default();
        vec![self.topic.clone(), self.events.to_string(), first, self.last_at.clone()]
    }
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Topic> = client.all("/v1/topics").await?;
    printer.rows(&all, "no topics: a topic is created by its first event; runs and `tidemill publish` publish events");
    Ok(())
}
