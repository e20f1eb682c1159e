//! `tidemill topics events`.

use tidemill_api_types::{Time, TopicEvent};

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;
use crate::text::cut;

/// Arguments of `tidemill topics events`.
#[derive(Debug, clap::Args)]
pub struct TopicEventsArgs {
    /// The topic
    topic: String,

    /// List only events published at or after this time, such as 1h (ago), yesterday, 2026-11-29 or
    /// RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Option<Time>,

    /// Maximum number of events
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Maximum length of a payload in a table, in characters.
const SHOWN: usize = 80;

impl Row for TopicEvent<'_> {
    const HEADS: &'static [&'static str] = &["EVENT", "PUBLISHED", "BY", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        let by = self.publisher.as_ref().map_or("an operator", |publisher| &*publisher.deployment);
        let payload = cut(&self.payload.to_value().to_string(), SHOWN);
        vec![self.id.to_string(), self.at.to_string(), by.to_owned(), payload]
    }
}

/// Runs the command.
pub async fn run(args: &TopicEventsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/topics/{}/events", encoded(&args.topic));
    let path = Query::default().with_each("since", args.since).of_path(&path);
    let events: Vec<Record<TopicEvent<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&events, "no events");
    Ok(())
}
