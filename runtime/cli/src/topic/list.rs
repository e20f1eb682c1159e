//! `tidemill topics list`.

use tidemill_api_types::Topic;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::time;

impl Row for Topic<'_> {
    const HEADS: &'static [&'static str] = &["TOPIC", "EVENTS", "FIRST", "LAST"];

    fn cells(&self) -> Vec<String> {
        vec![self.topic.to_string(), self.events.to_string(), time(self.first_at), self.last_at.to_string()]
    }
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Topic<'static>>> = client.all("/v1/topics").await?;
    printer.rows(&all, "no topics: a topic is created by its first event; runs and `tidemill publish` publish events");
    Ok(())
}
