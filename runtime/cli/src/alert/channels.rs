//! `tidemill alerts channels`: lists the channels for notifications.

use tidemill_api_types::AlertChannel;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill alerts channels`.
#[derive(Debug, clap::Args)]
pub struct AlertChannelsArgs {}

impl Row for AlertChannel<'_> {
    const HEADS: &'static [&'static str] = &["CHANNEL", "KIND", "TARGET", "WAITING", "LAST SENT", "PROBLEM"];

    fn cells(&self) -> Vec<String> {
        let problem = match (&self.error, &self.next) {
            (Some(error), Some(next)) => format!("{error} (next try at {next})"),
            (Some(error), None) => error.to_string(),
            (None, _) => String::new(),
        };
        vec![
            self.name.to_string(),
            self.kind.as_deref().unwrap_or("(removed)").to_owned(),
            self.target.as_deref().unwrap_or_default().to_owned(),
            self.waiting.to_string(),
            self.sent.map(|at| at.to_string()).unwrap_or_default(),
            problem,
        ]
    }
}

/// Runs the command.
pub async fn run(_: &AlertChannelsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<AlertChannel<'static>>> = client.all("/v1/alerts/channels").await?;
    printer.rows(&all, "no channels: name a file with `tidemill serve --alerts FILE`");
    Ok(())
}
